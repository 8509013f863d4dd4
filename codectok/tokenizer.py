"""Tokenizer: the one interface of everything that turns speech into integers."""

from __future__ import annotations

import abc
import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from codectok import audio as _audio
from codectok import opening
from codectok.audio.samples import Audio
from codectok.errors import CodectokError, CodeRangeError
from codectok.facts import TokenizerFacts
from codectok.streaming import StreamDecoder, StreamEncoder, encode_blocks
from codectok.tokens import Tokens

AudioOrPath: TypeAlias = "Audio | str | os.PathLike[str]"


class Tokenizer(TokenizerFacts, abc.ABC):
    """Speech to integers and, where possible, back.

    Subclasses set the attributes and implement the underscored methods, which see clean input only: float32 arrays
    [S] at ``sample_rate`` with S >= 1, codes in range. Everything a user can get wrong is checked here, once.
    """

    # -- what a subclass implements ---------------------------------------------------------------------------------

    @abc.abstractmethod
    def num_frames(self, num_samples: int) -> int:
        """Frames for that many samples at ``sample_rate``: the tokenizer's one length formula."""

    @abc.abstractmethod
    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        """Codes int64 [K, T] of each clip."""

    @abc.abstractmethod
    def _features(self, clips: list[np.ndarray]) -> list[Tensor]:
        """Continuous representation just before quantization, float32 [T, D], of each clip."""

    def _decode(self, codes: list[Tensor], num_samples: list[int]) -> list[np.ndarray]:
        """Audio float32 [num_samples] of each [K, T]."""
        raise CodectokError(f"{self.name} cannot decode: it has no decoder or vocoder")

    def _code_vectors(self, codebook: int) -> Tensor:
        """Float32 [size, D]: what each code of one codebook adds to the vector that is decoded."""
        raise CodectokError(f"{self.name} has no code vectors: its codes stand for no vectors of a codebook")

    def _quantized_features(self, codes: Tensor) -> Tensor:
        """Float32 [T, D] on the CPU: what codes int64 [K, T] of the first codebooks say of the features."""
        raise CodectokError(f"{self.name} has no quantized features: its codes stand for no vectors of a codebook")

    def _decode_features(self, features: Tensor, num_samples: int) -> np.ndarray:
        """Audio float32 [num_samples] of float32 [T, D]."""
        raise CodectokError(f"{self.name} cannot decode features: its decoder, if any, takes codes")

    # Streaming, for causal tokenizers: pure functions on explicit state; None is the start of a stream.

    def encode_step(self, state: Any, chunk: Tensor, num_codebooks: int, final: bool = False) -> tuple[Any, Tensor]:
        """One chunk [S] (any S >= 0) -> new state, codes [K, T] of the frames it completed; ``final`` ends it."""
        raise CodectokError(f"{self.name} is not causal: it cannot stream")

    def decode_step(self, state: Any, codes: Tensor, final: bool = False) -> tuple[Any, Tensor]:
        """Codes [K, T] (any T >= 0) -> new state, the samples [S] they completed; ``final`` ends it."""
        raise CodectokError(f"{self.name} is not causal: it cannot stream")

    # -- what a user calls ------------------------------------------------------------------------------------------

    def encode(
        self,
        audio: AudioOrPath,
        rate: int | None = None,
        *,
        num_codebooks: int | None = None,
        bitrate: float | None = None,
    ) -> Tokens:
        """Tokenize one clip, given as samples with their ``rate`` in Hz or as the path of an audio file.

        Args:
            audio: float [S] or [C, S] (mixed down by the mean), or a path.
            rate: Hz; required for arrays. Another rate than ``sample_rate`` is resampled.
            num_codebooks: use the first K codebooks; default all.
            bitrate: or the most codebooks that fit in this many kbit/s.

        Raises:
            AudioError: empty, not finite, unreadable, or no rate.
            CodeRangeError: more codebooks than there are, or a bitrate below one codebook's.
        """
        k = self.choose_codebooks(num_codebooks, bitrate)
        if isinstance(audio, (str, os.PathLike)) and self.causal:
            return self._encode_file(audio, k)
        return self._encode_clips([audio], rate, k)[0]

    def encode_batch(
        self,
        audios: Sequence[AudioOrPath],
        rate: int | None = None,
        *,
        num_codebooks: int | None = None,
        bitrate: float | None = None,
    ) -> list[Tokens]:
        """Tokenize clips of any lengths; each result equals ``encode`` of that clip alone."""
        return self._encode_clips(audios, rate, self.choose_codebooks(num_codebooks, bitrate))

    def decode(self, tokens: Tokens) -> np.ndarray:
        """Audio of some tokens, float32 [num_samples] at ``sample_rate``.

        Raises:
            FingerprintError: the tokens are another tokenizer's.
            CodectokError: this tokenizer cannot decode.
        """
        return self.decode_batch([tokens])[0]

    def decode_batch(self, many: Sequence[Tokens]) -> list[np.ndarray]:
        """Decode several utterances; each result equals ``decode`` of it alone."""
        expanded = [self.check(tokens).expand() for tokens in many]
        return self._decode([t.codes for t in expanded], [t.num_samples for t in expanded]) if expanded else []

    def features(self, audio: AudioOrPath, rate: int | None = None) -> Tensor:
        """The continuous representation just before quantization, float32 [T, D], at the codes' frame rate."""
        return self.features_batch([audio], rate)[0]

    def features_batch(self, audios: Sequence[AudioOrPath], rate: int | None = None) -> list[Tensor]:
        """``features`` of several clips, each as if alone."""
        clips = self._clips(audios, rate)
        if not clips:
            return []
        found = self._features(clips)
        return [f.clone() if f.is_inference() else f for f in found]

    def code_vectors(self, codebook: int) -> Tensor:
        """What each code of one codebook adds to the quantized vector, float32 [size, D] on the CPU.

        Raises:
            CodeRangeError: no such codebook.
            CodectokError: this tokenizer has no codebook vectors.
        """
        if not 0 <= codebook < len(self.codebook_sizes):
            raise CodeRangeError(f"{self.name} has codebooks 0 to {len(self.codebook_sizes) - 1}, not {codebook}")
        found = self._code_vectors(codebook)
        return found.clone() if found.is_inference() else found

    def quantized_features(self, tokens: Tokens) -> Tensor:
        """What some tokens say of the ``features``, float32 [T, D]: what a decoder or a probe sees of them.

        The same frames and width as the features of the same audio; more codebooks come closer to them.

        Raises:
            FingerprintError: the tokens are another tokenizer's.
            CodectokError: this tokenizer's codes stand for no vectors.
        """
        found = self._quantized_features(self.check(tokens).expand().codes)
        return found.clone() if found.is_inference() else found

    def decode_features(self, features: Tensor, num_samples: int) -> np.ndarray:
        """Audio float32 [num_samples] of float [T, D], as ``features`` or a model gives them: nothing is quantized.

        Raises:
            CodectokError: this tokenizer's decoder takes codes only, or it has none.
            AudioError: features of another width, or not finite.
        """
        return self._decode_features(self.check_features(features), max(0, num_samples))

    def stream_encoder(self, num_codebooks: int | None = None, rate: int | None = None) -> StreamEncoder:
        """An encoder to push chunks of audio into (at ``rate`` Hz; default the tokenizer's own)."""
        self._need_causal()
        return StreamEncoder(self, self.choose_codebooks(num_codebooks, None), rate)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder to push tokens into."""
        self._need_causal()
        return StreamDecoder(self)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the model folder (``config.json``, ``model.safetensors``) that ``codectok.load`` opens."""
        raise CodectokError(f"{self.name} has no weights to save")

    # -- shared checks ----------------------------------------------------------------------------------------------

    def _need_causal(self) -> None:
        if not self.causal:
            raise CodectokError(f"{self.name} is not causal: it cannot stream; use encode and decode")

    def _clip(self, audio: AudioOrPath, rate: int | None) -> np.ndarray:
        """Checked mono float32 [S] at this tokenizer's rate."""
        if isinstance(audio, (str, os.PathLike)):
            samples, rate = _audio.read_audio(audio)
        else:
            samples = _audio.as_mono(audio)
        rate = _audio.check_rate(rate)
        _audio.check_samples(samples)
        return _audio.resample(samples, rate, self.sample_rate)

    def _clips(self, audios: Sequence[AudioOrPath], rate: int | None) -> list[np.ndarray]:
        if isinstance(audios, (str, os.PathLike)):
            raise CodectokError(f"{os.fspath(audios)!r} is one path: give a list of clips")
        return [self._clip(a, rate) for a in audios]

    def _encode_clips(self, audios: Sequence[AudioOrPath], rate: int | None, k: int) -> list[Tokens]:
        clips = self._clips(audios, rate)
        if not clips:
            return []
        return [self.tokens(c, len(x)) for c, x in zip(self._encode(clips, k), clips, strict=True)]

    def _encode_file(self, path: str | os.PathLike[str], k: int) -> Tokens:
        """Stream a file of any length through the encoder; memory does not grow with it, but for the codes."""
        parts, num_samples = [], 0
        for tokens in self.encode_blocks(path, k):
            parts.append(tokens.codes)
            num_samples += tokens.num_samples
        return self.tokens(torch.cat(parts, 1), num_samples)

    def encode_blocks(self, path: str | os.PathLike[str], num_codebooks: int | None = None) -> Iterator[Tokens]:
        """Yield Tokens of successive pieces of an audio file; their codes join to ``encode`` of the whole.

        ``num_samples`` of each piece is the samples read for it: they sum to the file's. Causal tokenizers only.
        """
        self._need_causal()
        return encode_blocks(self, path, self.choose_codebooks(num_codebooks, None))


def load(name: str | os.PathLike[str] | None = None, *, device: str = "cpu") -> Tokenizer:
    """Open a tokenizer.

    Args:
        name: None for the default ("speech"); a name that ``codectok info --list tokenizers`` shows; "km:FOLDER", or
            what else such a name takes after a colon; a model folder; a hub id. The first of these that fits.
        device: torch device to run on.

    Raises:
        UnknownTokenizerError: nothing of that name.
        CodectokError: a device that cannot be used, or a package's entry that gives no Tokenizer.
        FormatError: a folder that is not a model folder.
    """
    asked = "speech" if name is None else os.fspath(name)
    found = opening.open_named(asked, device)
    if not isinstance(found, Tokenizer):
        raise CodectokError(f"what opens {asked!r} gives a {type(found).__name__}, no codectok.Tokenizer")
    return found

"""Tokenizer: the one interface of everything that turns speech into integers."""

from __future__ import annotations

import abc
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codectok import audio as _audio
from codectok import opening
from codectok.abilities import CanDecode, CanDecodeFeatures, HasCodeVectors
from codectok.audio.clip import AudioOrPath
from codectok.errors import AudioError, CodectokError, CodeRangeError, FingerprintError
from codectok.fingerprint import same
from codectok.shipped import maker_of
from codectok.streaming import StreamDecoder, StreamEncoder, encode_blocks
from codectok.tokens import Tokens
from codectok.tokens.rates import choose_codebooks, nominal_bitrate


class Tokenizer(abc.ABC):
    """Speech to integers and, where possible, back.

    Subclasses set the attributes and implement the underscored methods, which see clean input only: float32 arrays
    [S] at ``sample_rate`` with S >= 1, codes in range. Everything a user can get wrong is checked here, once. What only
    some can do is in :mod:`codectok.abilities`.

    Audio goes in and comes out as numpy arrays (torch tensors are taken too); codes and features are torch tensors on
    the CPU.

    >>> import codectok
    >>> tok = codectok.load("pcm")
    >>> tokens = tok.encode([0.0, 0.25, -0.5], 16000)
    >>> tokens.codes
    tensor([[128, 225,  16]])
    >>> tok.decode(tokens).shape
    (3,)
    """

    name: str
    sample_rate: int
    """Hz of the audio it takes and gives."""
    frame_rate: Fraction
    """Frames per second, exact."""
    codebook_sizes: tuple[int, ...]
    """Codes in each codebook, all that it has."""
    fingerprint: str
    """Hash of the code space: what decides the codes, and what they stand for. Tokens are bound to it."""
    decoder_fingerprint: str = ""
    """Hash of the decoder, which may change while the codes stay; "" where there is none, or none of its own."""
    feature_dim: int
    """D of ``features``."""
    causal: bool = False
    """Whether ``stream_encoder`` and ``stream_decoder`` exist and equal the offline results."""
    can_decode: bool
    """Whether there is a decoder; unless a class says otherwise, whether it has the ability ``CanDecode``."""
    block_seconds: float = 1.0
    """Audio worked on at a time: bounds memory and keeps activations in cache. Results do not depend on it."""
    device: torch.device = torch.device("cpu")
    """Where its networks run; audio, tokens and features are on the CPU."""
    folder: Path | None = None
    """The model folder that it was opened from, if it was."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "can_decode" not in cls.__dict__:
            cls.can_decode = hasattr(cls, "_decode")

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
            audio: float in [-1, 1) or int16, [S] or [C, S] (mixed down by the mean); or a path.
            rate: Hz; required for arrays, refused with a path, which has its own. What differs from ``sample_rate`` is
                resampled.
            num_codebooks: use the first K codebooks; default all.
            bitrate: or the most codebooks that fit in this many kbit/s.

        Raises:
            AudioError: empty, not finite, at the scale of integers, unreadable, or a rate missing or too many.
            CodeRangeError: more codebooks than there are, or a bitrate below one codebook's.
        """
        k = self.choose_codebooks(num_codebooks, bitrate)
        if isinstance(audio, (str, os.PathLike)) and self.causal:
            _audio.no_rate(audio, rate)
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
        if not (self.can_decode and isinstance(self, CanDecode)):
            raise CodectokError(self.why_not_decode())
        expanded = [self.check(tokens).expand() for tokens in many]
        return self._decode([t.codes for t in expanded], [t.num_samples for t in expanded]) if expanded else []

    def why_not_decode(self) -> str:
        """What is missing of one that cannot decode, and what to do about it."""
        return f"{self.name} cannot decode: it has no decoder or vocoder"

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
        if not isinstance(self, HasCodeVectors):
            raise CodectokError(f"{self.name} has no code vectors: its codes stand for no vectors of a codebook")
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
        if not isinstance(self, HasCodeVectors):
            raise CodectokError(f"{self.name} has no quantized features: its codes stand for no vectors of a codebook")
        found = self._quantized_features(self.check(tokens).expand().codes)
        return found.clone() if found.is_inference() else found

    def decode_features(self, features: Tensor, num_samples: int) -> np.ndarray:
        """Audio float32 [num_samples] of float [T, D], as ``features`` or a model gives them: nothing is quantized.

        Raises:
            CodectokError: this tokenizer's decoder takes codes only, or it has none.
            AudioError: features of another width, or not finite.
        """
        if not isinstance(self, CanDecodeFeatures):
            raise CodectokError(f"{self.name} cannot decode features: its decoder, if any, takes codes")
        return self._decode_features(self.check_features(features), max(0, num_samples))

    def stream_encoder(self, num_codebooks: int | None = None, rate: int | None = None) -> StreamEncoder:
        """An encoder to push chunks of audio into (at ``rate`` Hz; default the tokenizer's own)."""
        self._need_causal()
        return StreamEncoder(self, self.choose_codebooks(num_codebooks, None), rate)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder to push tokens into."""
        self._need_causal()
        if not self.can_decode:
            raise CodectokError(self.why_not_decode())
        return StreamDecoder(self)

    def to(self, device: str | torch.device) -> Tokenizer:
        """Run on another device from here on; returns the tokenizer itself.

        Raises:
            CodectokError: a device that cannot be used.
        """
        opening.check_device(str(device))
        self._move(torch.device(device))
        self.device = torch.device(device)
        return self

    def _move(self, device: torch.device) -> None:
        """Move the networks; a tokenizer without any has nothing to move."""
        del device

    @staticmethod
    def from_pretrained(name: str | os.PathLike[str] | None = None, *, device: str = "cpu") -> Tokenizer:
        """Open a tokenizer; the same as :func:`codectok.load`."""
        return load(name, device=device)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the model folder (``config.json``, ``model.safetensors``) that ``codectok.load`` opens."""
        raise CodectokError(f"{self.name} has no weights to save")

    # -- what follows from the facts ----------------------------------------------------------------------------------

    def choose_codebooks(self, num_codebooks: int | None, bitrate: float | None) -> int:
        """The number of codebooks meant by a count or by a bitrate in kbit/s (at most one of them)."""
        return choose_codebooks(self.name, self.frame_rate, self.codebook_sizes, num_codebooks, bitrate)

    def bitrate(self, num_codebooks: int | None = None) -> float:
        """Nominal kbit/s of the first ``num_codebooks`` codebooks (default all)."""
        return nominal_bitrate(self.frame_rate, self.codebook_sizes[:num_codebooks])

    def knows(self, fingerprint: str) -> bool:
        """Whether a fingerprint is of this tokenizer's code space: its own, or a former one of the same codes."""
        return same(self.fingerprint, fingerprint)

    def check(self, tokens: Tokens) -> Tokens:
        """Return ``tokens`` if this tokenizer made them.

        Raises:
            FingerprintError: they are another tokenizer's.
            CodeRangeError: codebooks that this tokenizer does not have.
            CodectokError: not Tokens.
        """
        if not isinstance(tokens, Tokens):
            raise CodectokError(
                f"a {type(tokens).__name__} is not Tokens: give what encode returned, or tokens(codes, num_samples)"
            )
        if not self.knows(tokens.fingerprint):
            made_by = maker_of(tokens.fingerprint)
            remedy = "the tokenizer that made them" if made_by is None else repr(made_by)
            raise FingerprintError(
                f"these tokens were made by tokenizer {made_by or tokens.fingerprint}, not by {self.name} "
                f"({self.fingerprint}): load {remedy} (--tokenizer on the command line)"
            )
        if tokens.codebook_sizes != self.codebook_sizes[: tokens.num_codebooks]:
            raise CodeRangeError(
                f"{self.name} has no first {tokens.num_codebooks} codebooks of these sizes, it has "
                f"{len(self.codebook_sizes)}: give tokens as encode returned them"
            )
        return tokens

    def check_features(self, features: Tensor) -> Tensor:
        """Features as float32 [T, D], if they are of this tokenizer's width.

        Raises:
            AudioError: another shape, or not finite.
        """
        features = torch.as_tensor(features).detach().float()
        if features.dim() != 2 or features.shape[1] != self.feature_dim:
            raise AudioError(f"features are {list(features.shape)}: {self.name} has [T, {self.feature_dim}]")
        if not features.isfinite().all():
            raise AudioError("a feature is NaN or infinite")
        return features

    def tokens(self, codes: Tensor, num_samples: int) -> Tokens:
        """Wrap codes [K, T] of this tokenizer."""
        return Tokens(
            codes, num_samples, self.sample_rate, self.frame_rate, self.codebook_sizes[: len(codes)], self.fingerprint
        )

    # -- shared checks ----------------------------------------------------------------------------------------------

    def _need_causal(self) -> None:
        if not self.causal:
            raise CodectokError(f"{self.name} is not causal: it cannot stream; use encode and decode")

    def _clips(self, audios: Sequence[AudioOrPath], rate: int | None) -> list[np.ndarray]:
        if isinstance(audios, (str, os.PathLike)):
            raise CodectokError(f"{os.fspath(audios)!r} is one path: give a list of clips")
        return [_audio.clip_at(a, rate, self.sample_rate) for a in audios]

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

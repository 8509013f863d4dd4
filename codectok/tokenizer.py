"""Tokenizer: the one interface of everything that turns speech into integers."""

from __future__ import annotations

import abc
import os
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from codectok import opening
from codectok.abilities import CanDecode, CanDecodeFeatures, HasCodeVectors, HasQuantizedFeatures
from codectok.audio.clip import AudioOrPath, clips_at, no_rate
from codectok.errors import CodectokError, CodeRangeError
from codectok.facts import TokenizerFacts
from codectok.streaming import StreamDecoder, StreamEncoder, StreamState, encode_blocks, encode_file
from codectok.tokens import Tokens


class Tokenizer(TokenizerFacts):
    """Speech to integers and, where possible, back.

    Subclasses set the attributes and implement the underscored methods, which see clean input only: float32 arrays
    [S] at ``sample_rate`` with S >= 1, codes in range. Everything a user can get wrong is checked here, once. What only
    some can do is in :mod:`codectok.abilities`.

    Audio goes in and comes out as numpy arrays (torch tensors are taken too); codes and features are torch tensors on
    the CPU.

    Examples:
        >>> tok = codectok.load("pcm")
        >>> tokens = tok.encode([0.0, 0.25, -0.5], 16000)
        >>> tokens.codes
        tensor([[128, 223,  16]])
        >>> tok.decode(tokens).shape
        (3,)
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "can_decode" not in cls.__dict__:
            cls.can_decode = hasattr(cls, "_decode")

    # -- what a subclass implements ---------------------------------------------------------------------------------

    @abc.abstractmethod
    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        """Codes int64 [K, T] of each clip."""

    @abc.abstractmethod
    def _features(self, clips: list[np.ndarray]) -> list[Tensor]:
        """Continuous representation just before quantization, float32 [T, D], of each clip."""

    # Streaming, for causal tokenizers: pure functions on explicit state; None is the start of a stream.

    def encode_step(
        self, state: StreamState, chunk: Tensor, num_codebooks: int, final: bool = False
    ) -> tuple[StreamState, Tensor]:
        """One chunk [S] (any S >= 0) -> new state, codes [K, T] of the frames it completed; ``final`` ends it.

        Examples:
            >>> tok = codectok.load("pcm")
            >>> state, codes = tok.encode_step(None, torch.zeros(3), 1)
            >>> codes
            tensor([[128, 128, 128]])
        """
        raise CodectokError(f"{self.name} is not causal: it cannot stream")

    def decode_step(self, state: StreamState, codes: Tensor, final: bool = False) -> tuple[StreamState, Tensor]:
        """Codes [K, T] (any T >= 0) -> new state, the samples [S] they completed; ``final`` ends it.

        Examples:
            >>> tok = codectok.load("pcm")
            >>> state, samples = tok.decode_step(None, torch.tensor([[128, 255]]))
            >>> samples.shape
            torch.Size([2])
        """
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

        Examples:
            >>> codectok.load("random").encode("a.wav", bitrate=1.5)
            Tokens(6 x 25 codes, 1.00 s, 1.5 kbit/s at 25 frames/s, of ...)
        """
        k = self.choose_codebooks(num_codebooks, bitrate)
        if isinstance(audio, (str, os.PathLike)) and self.causal:
            no_rate(audio, rate)
            return encode_file(self, audio, k)
        return self._encode_clips([audio], rate, k)[0]

    def encode_batch(
        self,
        audios: Sequence[AudioOrPath],
        rate: int | None = None,
        *,
        num_codebooks: int | None = None,
        bitrate: float | None = None,
    ) -> list[Tokens]:
        """Tokenize clips of any lengths; each result equals ``encode`` of that clip alone.

        Examples:
            >>> [tokens.num_frames for tokens in codectok.load("random").encode_batch(["a.wav", "corpus/a.wav"])]
            [25, 5]
        """
        return self._encode_clips(audios, rate, self.choose_codebooks(num_codebooks, bitrate))

    def decode(self, tokens: Tokens) -> np.ndarray:
        """Audio of some tokens, float32 [num_samples] at ``sample_rate``.

        Raises:
            FingerprintError: the tokens are another tokenizer's.
            CodectokError: this tokenizer cannot decode.

        Examples:
            >>> tok = codectok.load("pcm")
            >>> tok.decode(tok.encode([0.0, 0.5], 16000)).round(2)
            array([0. , 0.5], dtype=float32)
        """
        return self.decode_batch([tokens])[0]

    def decode_batch(self, many: Sequence[Tokens]) -> list[np.ndarray]:
        """Decode several utterances; each result equals ``decode`` of it alone.

        Examples:
            >>> tok = codectok.load("pcm")
            >>> [len(wave) for wave in tok.decode_batch(tok.encode_batch([[0.0], [0.0, 0.5]], 16000))]
            [1, 2]
        """
        if not (self.can_decode and isinstance(self, CanDecode)):
            raise CodectokError(self.why_not_decode())
        expanded = [self.check(tokens).expand() for tokens in many]
        return self._decode([t.codes for t in expanded], [t.num_samples for t in expanded]) if expanded else []

    def why_not_decode(self) -> str:
        """What is missing of one that cannot decode, and what to do about it.

        Examples:
            >>> tok = codectok.load("random")
            >>> print("yes" if tok.can_decode else tok.why_not_decode())
            random cannot decode: it has no decoder or vocoder
        """
        return f"{self.name} cannot decode: it has no decoder or vocoder"

    def features(self, audio: AudioOrPath, rate: int | None = None) -> Tensor:
        """The continuous representation just before quantization, float32 [T, D], at the codes' frame rate.

        Examples:
            >>> codectok.load("pcm").features([0.0, 0.5], 16000).shape
            torch.Size([2, 1])
        """
        return self.features_batch([audio], rate)[0]

    def features_batch(self, audios: Sequence[AudioOrPath], rate: int | None = None) -> list[Tensor]:
        """``features`` of several clips, each as if alone.

        Examples:
            >>> [len(found) for found in codectok.load("pcm").features_batch([[0.0], [0.0, 0.5]], 16000)]
            [1, 2]
        """
        clips = clips_at(audios, rate, self.sample_rate)
        found = self._features(clips) if clips else []
        return [f.clone() if f.is_inference() else f for f in found]

    def code_vectors(self, codebook: int) -> Tensor:
        """What each code of one codebook adds to the quantized vector, float32 [size, D] on the CPU.

        Raises:
            CodeRangeError: no such codebook.
            CodectokError: this tokenizer has no codebook vectors.

        Examples:
            >>> codectok.load("units").code_vectors(0).shape
            torch.Size([500, 128])
        """
        if not isinstance(self, HasCodeVectors):
            raise CodectokError(f"{self.name} has no code vectors: its codes stand for no vectors of a codebook")
        if not 0 <= codebook < len(self.codebook_sizes):
            raise CodeRangeError(
                f"{self.name} has codebooks 0 to {len(self.codebook_sizes) - 1}, not {codebook}", codebook=codebook
            )
        found = self._code_vectors(codebook)
        return found.clone() if found.is_inference() else found

    def quantized_features(self, tokens: Tokens) -> Tensor:
        """What some tokens say of the ``features``, float32 [T, D]: what a decoder or a probe sees of them.

        The same frames and width as the features of the same audio; more codebooks come closer to them.

        Raises:
            FingerprintError: the tokens are another tokenizer's.
            CodectokError: this tokenizer's codes stand for no vectors.

        Examples:
            >>> tok = codectok.load("units")
            >>> tok.quantized_features(tok.encode("a.wav")).shape == tok.features("a.wav").shape
            True
        """
        if not isinstance(self, HasQuantizedFeatures):
            raise CodectokError(f"{self.name} has no quantized features: its codes stand for no vectors of a codebook")
        found = self._quantized_features(self.check(tokens).expand().codes)
        return found.clone() if found.is_inference() else found

    def decode_features(self, features: Tensor, num_samples: int) -> np.ndarray:
        """Audio float32 [num_samples] of float [T, D], as ``features`` or a model gives them: nothing is quantized.

        Raises:
            CodectokError: this tokenizer's decoder takes codes only, or it has none.
            AudioError: features of another width, or not finite.

        Examples:
            >>> tok = codectok.load("units")
            >>> tok.decode_features(tok.features("a.wav"), num_samples=16000).shape
            (16000,)
        """
        if not isinstance(self, CanDecodeFeatures):
            raise CodectokError(f"{self.name} cannot decode features: its decoder, if any, takes codes")
        return self._decode_features(self.check_features(features), max(0, num_samples))

    def stream_encoder(self, num_codebooks: int | None = None, rate: int | None = None) -> StreamEncoder:
        """An encoder to push chunks of audio into (at ``rate`` Hz; default the tokenizer's own).

        Examples:
            >>> encoder = codectok.load("pcm").stream_encoder()
            >>> pieces = [encoder.push([0.0, 0.25]), encoder.push([-0.5]), encoder.flush()]
            >>> codectok.Tokens.cat(pieces).codes
            tensor([[128, 223,  16]])
        """
        self._need_causal()
        return StreamEncoder(self, self.choose_codebooks(num_codebooks, None), rate)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder to push tokens into.

        Examples:
            >>> tok = codectok.load("pcm")
            >>> decoder = tok.stream_decoder()
            >>> len(decoder.push(tok.encode([0.0, 0.5], 16000)))
            2
        """
        self._need_causal()
        if not self.can_decode:
            raise CodectokError(self.why_not_decode())
        return StreamDecoder(self)

    def to(self, device: str | torch.device) -> Tokenizer:
        """Run on another device from here on; returns the tokenizer itself.

        Raises:
            CodectokError: a device that cannot be used.

        Examples:
            >>> codectok.load("pcm").to("cpu").device
            device(type='cpu')
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
        """Open a tokenizer; the same as :func:`codectok.load`.

        Examples:
            >>> codectok.Tokenizer.from_pretrained("pcm").name
            'pcm'
        """
        return load(name, device=device)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the model folder (``config.json``, ``model.safetensors``) that ``codectok.load`` opens.

        Examples:
            >>> tok = codectok.load("units")
            >>> tok.save_pretrained("my-units")
            >>> codectok.load("my-units").fingerprint == tok.fingerprint
            True
        """
        raise CodectokError(f"{self.name} has no weights to save")

    def _encode_clips(self, audios: Sequence[AudioOrPath], rate: int | None, k: int) -> list[Tokens]:
        clips = clips_at(audios, rate, self.sample_rate)
        found = self._encode(clips, k) if clips else []
        return [self.tokens(codes, len(clip)) for codes, clip in zip(found, clips, strict=True)]

    def encode_blocks(self, path: str | os.PathLike[str], num_codebooks: int | None = None) -> Iterator[Tokens]:
        """Yield Tokens of successive pieces of an audio file; their codes join to ``encode`` of the whole.

        ``num_samples`` of each piece is the samples read for it: they sum to the file's. Causal tokenizers only.

        Examples:
            >>> tok = codectok.load("random")
            >>> codectok.Tokens.cat(list(tok.encode_blocks("a.wav"))) == tok.encode("a.wav")
            True
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

    Examples:
        >>> tok = codectok.load("pcm")
        >>> tok.sample_rate, tok.codebook_sizes, tok.causal
        (16000, (256,), True)
    """
    asked = "speech" if name is None else os.fspath(name)
    found = opening.open_named(asked, device)
    if not isinstance(found, Tokenizer):
        raise CodectokError(f"what opens {asked!r} gives a {type(found).__name__}, no codectok.Tokenizer")
    return found

"""Inputs made by a tokenizer: its tokens, what they say of its features, and the features themselves."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from codectok.audio import resample
from codectok.controls import RandomTokenizer
from codectok.errors import CodectokError
from codectok.metrics.registry import as_file
from codectok.tokenizer import Tokenizer

from ..contract import RATE, InputInfo, InputKind, NotComputed
from .fitted import fitted_words
from .input import Input
from .spec import Spec, choose_codebooks

KINDS: dict[str, InputKind] = {"tokens": "discrete", "quantized": "quantized", "features": "continuous"}


@functools.lru_cache(maxsize=4)
def load_once(source: str, device: str) -> Tokenizer:
    """One tokenizer a process, however many inputs are made of it."""
    from codectok.tokenizer import load

    return load(source, device=device)


class TokenizerInput(Input):
    """Tokens of the first ``k`` codebooks, or the quantized or continuous features, of one tokenizer."""

    tokenizer: Tokenizer

    def __init__(self, tokenizer: Tokenizer, spec: Spec) -> None:
        k = choose_codebooks(tokenizer, spec)
        self.tokenizer, self.k, self.view, self.source = tokenizer, k, spec.view, spec.source
        self.decoder = tokenizer
        kbps = None if spec.view == "features" else tokenizer.bitrate(k)
        kind: InputKind = "audio" if spec.source == "pcm" else KINDS[spec.view]
        words = {"tokens": "", "quantized": " quantized", "features": " features"}[spec.view]
        self.info = InputInfo(
            spec=spec.text,
            label=spec.name + words + ("" if kbps is None else f" {kbps:.3g} kbit/s"),
            kind=kind,
            tokenizer=spec.name,
            fingerprint=tokenizer.fingerprint + ("-by-clip" if spec.source == "random" else ""),
            frame_rate=tokenizer.frame_rate,
            codebook_sizes=tokenizer.codebook_sizes[:k] if kind in ("discrete", "audio") else (),
            dim=0 if kind in ("discrete", "audio") else tokenizer.feature_dim,
            bitrate_kbps=kbps,
            token_rate=None if kbps is None else float(tokenizer.frame_rate) * k,
            fitted_on=fitted_words(spec.source, tokenizer.folder),
        )

    def extract(self, clips: Sequence[np.ndarray]) -> list[Tensor]:
        """Codes [K, T], or features [T, D]."""
        if self.info.kind == "audio":
            return super().extract(clips)
        if self.source == "random" and self.view == "tokens":
            return [random_codes(clip, self.tokenizer.num_frames(len(clip)), self.k) for clip in clips]
        if self.view == "features":
            return self.tokenizer.features_batch(list(clips), RATE)
        many = self.tokenizer.encode_batch(list(clips), RATE, num_codebooks=self.k)
        return [t.codes if self.view == "tokens" else self.tokenizer.quantized_features(t) for t in many]

    def vectors(self) -> list[Tensor] | None:
        """Of the codebooks used."""
        if self.view != "tokens":
            return None
        try:
            return [self.tokenizer.code_vectors(i) for i in range(self.k)]
        except CodectokError:
            return None

    def to_audio(self, values: Sequence[Tensor], num_samples: Sequence[int]) -> list[np.ndarray]:
        """By the tokenizer's decoder."""
        if not self.decoder.can_decode:
            raise NotComputed(f"{self.decoder.name} cannot decode: it has no decoder or vocoder")
        rate = self.decoder.sample_rate
        lengths = [-(-n * rate // RATE) for n in num_samples]
        if self.view == "tokens":
            many = [self.decoder.tokens(v.long(), n) for v, n in zip(values, lengths, strict=True)]
            audio = self.decoder.decode_batch(many)
        else:
            audio = [self._decode_features(v, n) for v, n in zip(values, lengths, strict=True)]
        return [_fit(resample(as_file(a), rate, RATE), n) for a, n in zip(audio, num_samples, strict=True)]

    def resynthesise(self, clips: Sequence[np.ndarray]) -> tuple[list[np.ndarray], float | None]:
        """As a user would: encode, decode."""
        if self.info.kind != "audio":
            return super().resynthesise(clips)
        codes = [t.codes for t in self.tokenizer.encode_batch(list(clips), RATE, num_codebooks=self.k)]
        return self.to_audio(codes, [len(c) for c in clips]), self.info.bitrate_kbps

    def _decode_features(self, features: Tensor, num_samples: int) -> np.ndarray:
        try:
            return self.decoder.decode_features(features.float(), num_samples)
        except CodectokError as error:
            raise NotComputed(f"{self.info.label}: {error}") from error


def random_codes(clip: np.ndarray, num_frames: int, num_codebooks: int) -> Tensor:
    """Codes int64 [K, T] drawn anew for each clip, the same for the same samples.

    The tokenizer ``random`` gives every clip the same codes, so that a pool over time tells its length exactly; and
    who speaks, or which prompt, can be guessed from lengths. As a floor they must tell nothing.
    """
    rng = np.random.default_rng(zlib.crc32(np.ascontiguousarray(clip).tobytes()))
    # Frame by frame, so that fewer codebooks are the first of more.
    drawn = rng.integers(0, RandomTokenizer.codebook_sizes[0], (num_frames, len(RandomTokenizer.codebook_sizes)))
    return torch.from_numpy(drawn.T[:num_codebooks].copy())


def _fit(samples: np.ndarray, num_samples: int) -> np.ndarray:
    """Exactly so many samples: resampling there and back may give one too many."""
    return np.pad(samples[:num_samples], (0, max(0, num_samples - len(samples)))).astype(np.float32, copy=False)


def open_tokenizer_input(spec: Spec, device: str) -> Input:
    """Any tokenizer; ``random`` codes are decoded by the default codec, whose shape they have.

    Raises:
        NotComputed, CodectokError: see :func:`benchmarks.inputs.open_input`.
    """
    tokenizer = load_once(spec.source, device)
    opened = TokenizerInput(tokenizer, spec)
    if spec.source == "random" and spec.view == "tokens":
        opened.decoder = load_once("speech", device)
    if spec.view == "quantized":
        frame = torch.zeros(opened.k, 1, dtype=torch.long)
        tokenizer.quantized_features(tokenizer.tokens(frame, int(tokenizer.sample_rate / tokenizer.frame_rate)))
    return opened

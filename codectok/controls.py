"""Controls: ``pcm``, samples themselves as tokens (a ceiling), and ``random``, codes that know nothing (a floor)."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import numpy as np
import torch
from torch import Tensor

from codectok.fingerprint import fingerprint
from codectok.streaming import StreamState
from codectok.tokenizer import Tokenizer

MU = 255.0


class PcmTokenizer(Tokenizer):
    """8-bit mu-law samples (ITU-T G.711's curve, continuous form): one codebook of 256 at the sample rate."""

    name = "pcm"
    sample_rate = 16000
    frame_rate = Fraction(16000)
    codebook_sizes = (256,)
    feature_dim = 1
    causal = True
    fingerprint = fingerprint({"tokenizer": "pcm", "sample_rate": 16000, "mu": 255})

    def num_frames(self, num_samples: int) -> int:
        """One a sample."""
        return num_samples

    def _compress(self, x: Tensor) -> Tensor:
        x = x.clamp(-1.0, 1.0).double()
        return x.sign() * torch.log1p(MU * x.abs()) / np.log1p(MU)

    def _quantize(self, x: Tensor) -> Tensor:
        return ((self._compress(x) + 1) * 127.5).round().long()[None]

    def _expand(self, codes: Tensor) -> Tensor:
        y = codes[0].double() / 127.5 - 1
        return (y.sign() * torch.expm1(y.abs() * np.log1p(MU)) / MU).float()

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        return [self._quantize(torch.from_numpy(c)) for c in clips]

    def _features(self, clips: list[np.ndarray]) -> list[Tensor]:
        return [self._compress(torch.from_numpy(c)).float()[:, None] for c in clips]

    def _decode(self, codes: list[Tensor], num_samples: list[int]) -> list[np.ndarray]:
        # Tokens built by hand may have fewer frames than their num_samples say: silence, not a short array.
        many = [self._expand(c)[:n].numpy() for c, n in zip(codes, num_samples, strict=True)]
        return [np.pad(x, (0, n - len(x))) for x, n in zip(many, num_samples, strict=True)]

    def encode_step(
        self, state: StreamState, chunk: Tensor, num_codebooks: int, final: bool = False
    ) -> tuple[StreamState, Tensor]:
        """Stateless."""
        return (), self._quantize(chunk)

    def decode_step(self, state: StreamState, codes: Tensor, final: bool = False) -> tuple[StreamState, Tensor]:
        """Stateless."""
        return (), self._expand(codes)


class RandomTokenizer(Tokenizer):
    """Codes that are a hash of (level, frame): the same for any audio, so all they tell is its length.

    Shaped like the default codec (25 frames/s, 24 codebooks of 1024), and without a decoder.
    """

    name = "random"
    sample_rate = 16000
    frame_size = 640
    frame_rate = Fraction(25)
    codebook_sizes = (1024,) * 24
    feature_dim = 64
    causal = True
    can_decode = False
    fingerprint = fingerprint({"tokenizer": "random", "frame_size": 640, "codebook_sizes": [1024] * 24})

    def num_frames(self, num_samples: int) -> int:
        """ceil(num_samples / 640)."""
        return -(-num_samples // self.frame_size)

    def _codes(self, start: int, count: int, num_codebooks: int) -> Tensor:
        counter = (np.arange(num_codebooks)[:, None] << 40) + np.arange(start, start + count)
        return torch.from_numpy((_hash(counter) % 1024).astype(np.int64))

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        return [self._codes(0, self.num_frames(len(c)), num_codebooks) for c in clips]

    def _features(self, clips: list[np.ndarray]) -> list[Tensor]:
        out = []
        for clip in clips:
            counter = np.arange(self.num_frames(len(clip)))[:, None] + (np.arange(1, self.feature_dim + 1) << 48)
            out.append(torch.from_numpy((_hash(counter) / 2.0**63 - 1).astype(np.float32)))
        return out

    def encode_step(
        self, state: StreamState, chunk: Tensor, num_codebooks: int, final: bool = False
    ) -> tuple[StreamState, Tensor]:
        """``state`` is (samples seen, frames given)."""
        seen, given = cast("tuple[int, int]", state or (0, 0))
        seen += len(chunk)
        upto = self.num_frames(seen) if final else seen // self.frame_size
        return (seen, upto), self._codes(given, upto - given, num_codebooks)


def _hash(counter: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele et al. 2014) of each counter, uint64."""
    z = counter.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))

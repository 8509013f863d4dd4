"""A small harmonic codec, and what to put through it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from codectok.codec.harmonic import HarmonicCodec
from tests.contract.subjects import HARMONIC, settle

RATE = 16000


def tiny() -> HarmonicCodec:
    """With a source that is heard: a fresh one is 50 dB below the waveform."""
    torch.manual_seed(0)
    codec = HarmonicCodec(HARMONIC)
    with torch.no_grad():
        codec.decoder.output.bias.view(4, -1)[:2] += 4
        codec.decoder.output.bias.view(4, -1)[2:] += 0.5
    settle(codec)
    return codec.eval()


def melody(codec: HarmonicCodec, seconds: float, batch: int = 1) -> Tensor:
    """Random codes, int64 [B, K, T]."""
    generator = torch.Generator().manual_seed(0)
    frames = round(seconds * RATE / codec.frame_size)
    return torch.stack([torch.randint(n, (batch, frames), generator=generator) for n in codec.codebook_sizes], 1)


def tone(hertz: float, seconds: float = 1.0) -> Tensor:
    t = torch.arange(round(seconds * RATE)) / RATE
    return sum(0.1 * torch.sin(2 * math.pi * h * hertz * t + h * h) for h in range(1, 9))[None]  # type: ignore[index]

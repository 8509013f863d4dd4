"""Codebook health: how much of each codebook is in use. Dead codes waste bits and hide a broken quantizer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LevelHealth:
    """How one codebook is used."""

    used: float
    """Share of its codes that occur, 0 to 1."""
    perplexity: float
    """Codes that would carry as much if all were equally common, 2 ** entropy; 0 if no code was seen."""
    entropy: float
    """Bits a code."""


def count_codes(codes: Tensor, codebook_sizes: Sequence[int]) -> list[Tensor]:
    """Occurrences int64 [size] of each code of each level of [B, K, T]; negative codes (dropped, padding) are left out.

    Counts of several batches may be added up before :func:`health_of_counts`.
    """
    levels = codes.detach().unbind(1)
    return [torch.bincount(c[c >= 0], minlength=n) for c, n in zip(levels, codebook_sizes, strict=False)]


def health_of_counts(counts: Sequence[Tensor]) -> list[LevelHealth]:
    """Health of each level from its counts [size]."""
    out = []
    for level in counts:
        total = int(level.sum())
        share = level.double() / max(1, total)
        nats = float(torch.special.entr(share).sum())
        used = float((level > 0).double().mean())
        out.append(LevelHealth(used, math.exp(nats) if total else 0.0, max(0.0, nats / math.log(2))))
    return out


def codebook_health(codes: Tensor, codebook_sizes: Sequence[int]) -> list[LevelHealth]:
    """Health of each level of codes int64 [B, K, T]."""
    return health_of_counts(count_codes(codes, codebook_sizes))

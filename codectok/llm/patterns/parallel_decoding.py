"""Decoding loops of non-autoregressive stages, as short references: full and leftmost-span (PAR)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from codectok.errors import FormatError

Predict = Callable[[Tensor, int], Tensor]
"""``predict(known [n], length) -> logits [length, N]``: all positions at once, given the first n codes."""
PredictLevel = Callable[[Tensor], Tensor]
"""``predict(codes [k, T]) -> logits [T, N]`` of codebook k, given the k codebooks below it."""
Pick = Callable[[Tensor], Tensor]
"""``pick(logits [n, N]) -> codes [n]``."""


def greedy(logits: Tensor) -> Tensor:
    """The most probable code of each row."""
    return logits.argmax(-1)


def sampler(temperature: float = 1.0, generator: torch.Generator | None = None) -> Pick:
    """A pick that draws from the softmax at a temperature."""

    def pick(logits: Tensor) -> Tensor:
        return torch.multinomial((logits.float() / temperature).softmax(-1), 1, generator=generator)[:, 0]

    return pick


def decode_full(predict: Predict, length: int, pick: Pick = greedy) -> Tensor:
    """All positions in one pass (VALL-E's NAR within a codebook): int64 [length]."""
    return pick(predict(torch.zeros(0, dtype=torch.int64), length))


def decode_leftmost(predict: Predict, length: int, passes: int, pick: Pick = greedy) -> Tensor:
    """Predict all positions in each pass, keep the leftmost span only (PAR, Yang et al. 2025): int64 [length].

    Pass i of ``passes`` extends what is kept to ``ceil(length * i / passes)`` codes, so spans have equal length. One
    pass is ``decode_full``; ``length`` passes are ordinary autoregressive decoding.

    Raises:
        FormatError: no pass.
    """
    if passes < 1:
        raise FormatError(f"{passes} passes: give 1 or more")
    known = torch.zeros(0, dtype=torch.int64)
    for i in range(1, passes + 1):
        upto = -(-length * i // passes)
        if upto > len(known):
            known = torch.cat([known, pick(predict(known, length)[len(known) : upto])])
    return known


def decode_levels(predict: PredictLevel, first: Tensor, num_codebooks: int, pick: Pick = greedy) -> Tensor:
    """VALL-E's NAR stages: codebook after codebook, each in one pass over all frames. [T] -> int64 [K, T]."""
    codes = first[None].long()
    for _ in range(1, num_codebooks):
        codes = torch.cat([codes, pick(predict(codes))[None]])
    return codes

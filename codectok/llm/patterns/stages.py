"""Stage splits: one utterance as the training pairs of several models (VALL-E, AudioLM).

Not patterns: each stage is a sequence of its own, given what the stages before it made. Joining the targets of all
stages gives the codes back exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.patterns.cells import Array
from codectok.llm.patterns.flatten import Flatten


@dataclass(frozen=True)
class Stage(Generic[Array]):
    """What one model sees and what it must say.

    Attributes:
        name: of the stage.
        condition: codes given: [..., k, T] for VALL-E, a flat sequence [..., n] for AudioLM; None where there are none.
        target: codes to predict: [..., T] of one codebook, or a flat sequence.
    """

    name: str
    condition: Array | None
    target: Array


def valle(codes: Array) -> list[Stage[Array]]:
    """VALL-E's stages (Wang et al. 2023): codebook 0 autoregressively, then codebook k given all below it, in parallel.

    ``codes`` [..., K, T] -> K stages: ``ar``, ``nar 1``, ..., ``nar K-1``.

    >>> [(s.name, s.target.tolist()) for s in valle(np.arange(6).reshape(3, 2))]
    [('ar', [0, 1]), ('nar 1', [2, 3]), ('nar 2', [4, 5])]
    """
    first = Stage("ar", None, codes[..., 0, :])
    return [first] + [Stage(f"nar {k}", codes[..., :k, :], codes[..., k, :]) for k in range(1, codes.shape[-2])]


def join_valle(stages: Sequence[Stage[Array]]) -> Array:
    """The inverse of ``valle``: the targets stacked, [..., K, T]."""
    targets = [s.target for s in stages]
    if isinstance(targets[0], Tensor):
        return torch.stack(targets, -2)
    return np.stack(targets, -2)


def audiolm(semantic: Array, acoustic: Array, coarse: int) -> list[Stage[Array]]:
    """AudioLM's stages (Borsos et al. 2022), each flattened frame-major; the two tokenizers may have other frame rates.

    1. ``semantic``: units alone. 2. ``coarse``: the first ``coarse`` acoustic codebooks, given the semantic sequence.
    3. ``fine``: the other acoustic codebooks, given the coarse sequence.

    >>> stages = audiolm(np.array([[7, 8, 9]]), np.arange(8).reshape(4, 2), coarse=2)
    >>> [(s.name, s.target.tolist()) for s in stages]
    [('semantic', [7, 8, 9]), ('coarse', [0, 2, 1, 3]), ('fine', [4, 6, 5, 7])]

    Args:
        semantic: [..., Ks, Ts].
        acoustic: [..., Ka, Ta].
        coarse: Q', the coarse codebooks, 1 to Ka.

    Raises:
        FormatError: a split that leaves a stage without codebooks.
    """
    if not 1 <= coarse < acoustic.shape[-2]:
        raise FormatError(f"coarse is {coarse}: give 1 to {acoustic.shape[-2] - 1} of {acoustic.shape[-2]} codebooks")
    said = Flatten().apply(semantic)[..., 0, :]
    rough = Flatten().apply(acoustic[..., :coarse, :])[..., 0, :]
    rest = Flatten().apply(acoustic[..., coarse:, :])[..., 0, :]
    return [Stage("semantic", None, said), Stage("coarse", said, rough), Stage("fine", rough, rest)]


def join_audiolm(stages: Sequence[Stage[Array]], coarse: int, fine: int, semantic: int = 1) -> tuple[Array, Array]:
    """The inverse of ``audiolm``: semantic [..., Ks, Ts] and acoustic [..., Ka, Ta].

    Args:
        stages: the three.
        coarse: coarse codebooks.
        fine: fine codebooks.
        semantic: semantic codebooks.
    """
    parts = [
        Flatten().inverse(stage.target[..., None, :], k)
        for stage, k in zip(stages, (semantic, coarse, fine), strict=True)
    ]
    if isinstance(parts[0], Tensor):
        return parts[0], torch.cat(parts[1:], -2)
    return parts[0], np.concatenate(parts[1:], -2)

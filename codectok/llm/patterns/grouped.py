"""Grouped steps: several frames at once, in parallel or fused into one token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.patterns.cells import Array
from codectok.llm.patterns.pattern import Frames, Pattern


@dataclass(frozen=True)
class Grouped(Pattern):
    """``group`` frames a step, each frame's codebooks in streams of their own (VALL-E 2, SLAM-Omni, MiMo-Audio).

    >>> print(Grouped(2).draw(5, 1))
    a0 a2 a4
    a1 a3 _
    >>> print(Grouped(2, ends=True).draw(3, 2))
    a0 a2
    b0 b2
    a1 $
    b1 $

    The last group may lack frames. Their cells are PAD, and the inverse is told ``num_frames`` (without, it takes every
    group for full and says where a pad stands for a code); the streaming inverse reads it from the pads.

    Args:
        group: frames a step.
        ends: whether each stream row of the frame after the last is marked.
    """

    group: int
    ends: bool = False

    def __post_init__(self) -> None:
        if self.group < 1:
            raise FormatError(f"{self.group} frames a step: give 1 or more")

    def streams(self, num_codebooks: int) -> int:
        """group * K, the first frame's codebooks first."""
        return self.group * num_codebooks

    def length(self, num_frames: int, num_codebooks: int) -> int:
        """T / group, rounded up."""
        return math.ceil((num_frames + self.ends) / self.group)

    def frames(self, num_steps: int, num_codebooks: int) -> int:
        """The largest T of that length."""
        return max(0, num_steps * self.group - self.ends)

    def cells(
        self, steps: np.ndarray, num_codebooks: int, num_frames: Frames | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See the base; independent of T."""
        within, book = np.divmod(np.arange(self.group * num_codebooks)[:, None], num_codebooks)
        frame = steps[None, :] * self.group + within
        return np.broadcast_to(book, frame.shape), frame


@dataclass(frozen=True)
class SuperTokens:
    """Groups of codebooks fused into one token each, as digits of a mixed-radix number, and back.

    A partial flattening for one stream: K codebooks become ``len(groups)`` with the products of their sizes, which any
    pattern then arranges. Meant for small codebooks (FSQ levels, units with pitch): the product is a vocabulary size.

    >>> fused = SuperTokens((4, 3, 5), ((0, 1), (2,)))
    >>> fused.sizes, fused.fuse(np.array([[3], [2], [4]])).tolist()
    ((12, 5), [[11], [4]])

    Args:
        codebook_sizes: of the codes to fuse.
        groups: the codebooks of each super token; every codebook in exactly one.

    Raises:
        FormatError: a codebook missing or twice.
    """

    codebook_sizes: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if sorted(k for g in self.groups for k in g) != list(range(len(self.codebook_sizes))) or not all(self.groups):
            raise FormatError(f"groups {self.groups} do not name each of {len(self.codebook_sizes)} codebooks once")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codebook sizes of the fused codes."""
        return tuple(math.prod(self.codebook_sizes[k] for k in g) for g in self.groups)

    def fuse(self, codes: Array) -> Array:
        """[..., K, T] -> [..., groups, T]."""
        rows = []
        for group in self.groups:
            value = codes[..., group[0], :] * 1
            for k in group[1:]:
                value = value * self.codebook_sizes[k] + codes[..., k, :]
            rows.append(value)
        return _stack(rows, codes)

    def split(self, fused: Array) -> Array:
        """The inverse of ``fuse``: [..., groups, T] -> [..., K, T]."""
        found = {}
        for i, group in enumerate(self.groups):
            value = fused[..., i, :]
            for k in reversed(group):
                found[k], value = value % self.codebook_sizes[k], value // self.codebook_sizes[k]
        return _stack([found[k] for k in range(len(self.codebook_sizes))], fused)


def _stack(rows: Sequence[Array], like: Array) -> Array:
    if isinstance(like, Tensor):
        return torch.stack([torch.as_tensor(r) for r in rows], -2)
    return np.stack([np.asarray(r) for r in rows], -2)

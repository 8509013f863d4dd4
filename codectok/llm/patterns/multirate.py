"""Multi-rate codecs: levels with several codes a frame, in a fixed table of slots (SNAC in Orpheus, Step-Audio)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.patterns.cells import Array
from codectok.llm.patterns.flatten import FrameMajor


@dataclass(frozen=True)
class MultiRate(FrameMajor):
    """One stream; each frame of the slowest level says its codes in the order of a slot table.

    Codes of a multi-rate codec are kept as [K, T]: one row a slot, in slot order, at the slowest level's frame rate.
    ``rows`` makes them from the levels, ``levels`` gives the levels back, both exactly; a slot is a codebook then, and
    may have a block of ids of its own (Orpheus) or share it with the other slots of its level.

    >>> MultiRate.snac().slots
    (0, 1, 2, 2, 1, 2, 2)
    >>> rows = MultiRate.snac().rows([np.arange(2), np.arange(4) + 10, np.arange(8) + 100])
    >>> MultiRate.snac().apply(rows).tolist()
    [[0, 10, 100, 101, 11, 102, 103, 1, 12, 104, 105, 13, 106, 107]]
    >>> print(MultiRate((0, 1, 1)).draw(2, 3))
    a0 b0 c0 a1 b1 c1

    Args:
        slots: the level that speaks in each slot of a frame; a level's rate is the number of its slots.
    """

    slots: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.slots or sorted(set(self.slots)) != list(range(max(self.slots) + 1)):
            raise FormatError(f"slots {self.slots}: name the levels 0, 1, 2, ... each at least once")

    @classmethod
    def snac(cls) -> MultiRate:
        """SNAC's three levels of 1, 2 and 4 codes a frame in Orpheus's order, a walk down their binary tree."""
        return cls((0, 1, 2, 2, 1, 2, 2))

    @classmethod
    def ratio(cls, *counts: int) -> MultiRate:
        """So many codes of each level in turn: Step-Audio is ``ratio(2, 3)``."""
        return cls(tuple(level for level, n in enumerate(counts) for _ in range(n)))

    def check(self, num_codebooks: int) -> None:
        """As the base's; also that there is a row a slot."""
        super().check(num_codebooks)
        if num_codebooks != len(self.slots):
            raise FormatError(f"{num_codebooks} rows for {len(self.slots)} slots: make the rows by MultiRate.rows")

    def rows(self, levels: Sequence[Array]) -> Array:
        """Levels [..., rate * T] each -> [..., slots, T].

        Raises:
            FormatError: levels of lengths that do not go together.
        """
        rates = [self.slots.count(level) for level in range(max(self.slots) + 1)]
        frames = levels[0].shape[-1] // rates[0] if levels else 0
        if [x.shape[-1] for x in levels] != [frames * r for r in rates]:
            raise FormatError(
                f"levels of {[x.shape[-1] for x in levels]} codes do not hold {rates} codes a frame: give whole frames"
            )
        seen = [0] * len(rates)
        found = []
        for level in self.slots:
            found.append(levels[level][..., seen[level] :: rates[level]])
            seen[level] += 1
        return torch.stack(list(found), -2) if isinstance(levels[0], Tensor) else np.stack(found, -2)

    def levels(self, rows: Array) -> list[Array]:
        """The inverse of ``rows``: [..., slots, T] -> one [..., rate * T] a level."""
        found = []
        for level in range(max(self.slots) + 1):
            mine = [s for s, of in enumerate(self.slots) if of == level]
            picked = rows[..., mine, :].swapaxes(-1, -2)
            found.append(picked.reshape(*rows.shape[:-2], len(mine) * rows.shape[-1]))
        return found

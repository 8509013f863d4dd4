"""What a cell of a step grid can hold, and the gather and scatter that move codes in and out of such a grid."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)
"""A numpy array or a torch tensor; a function gives back the kind it was given."""


class Cell(enum.IntEnum):
    """Entries of an index grid that are not a code. All are negative, so that ``grid >= 0`` is where codes are."""

    START = -1
    """Before the stream's first code (Moshi's initial token, Dia's beginning of sequence)."""
    BLANK = -2
    """A step in which the stream does not take part."""
    END = -3
    """Right after the stream's last code, where a pattern marks ends."""
    PAD = -4
    """After that, until the longest stream is done."""


Id = int | Sequence[int]
"""An id for all streams, or one id a stream."""


@dataclass(frozen=True)
class Fill:
    """Ids that stand in the cells without a code.

    The default is the negative numbers of :class:`Cell`, which no codec takes for a code. A model needs ids of its own
    outside every codebook: MusicGen has one (``Fill.all(2048)``), Dia three (``Fill(1026, 1025, 1024, 1025)``).
    """

    start: Id = int(Cell.START)
    blank: Id = int(Cell.BLANK)
    end: Id = int(Cell.END)
    pad: Id = int(Cell.PAD)

    @classmethod
    def all(cls, special: Id) -> Fill:
        """The same id in every cell without a code (audiocraft's special token)."""
        return cls(special, special, special, special)

    @classmethod
    def after(cls, size: int) -> Fill:
        """Ids just after a codebook of ``size``: start and blank, end, pad are size, size + 1, size + 2."""
        return cls(size, size, size + 1, size + 2)

    def table(self, streams: int) -> np.ndarray:
        """int64 [S, 5]: column ``-cell`` holds the id of that cell; column 0 is not used."""
        columns = [0, self.start, self.blank, self.end, self.pad]
        return np.stack([np.broadcast_to(np.asarray(c, dtype=np.int64), (streams,)) for c in columns], axis=1)


def gather(codes: Array, grid: np.ndarray, fill: Fill) -> Array:
    """[..., K, T] -> [..., S, steps]: the code that each cell of ``grid`` points at, or the fill of that cell."""
    count = codes.shape[-1] * codes.shape[-2]
    specials = np.take_along_axis(fill.table(len(grid)), np.maximum(-grid, 0), axis=1)
    flat: Any = codes.reshape(*codes.shape[:-2], count)
    if isinstance(codes, np.ndarray):
        spare = np.zeros((*flat.shape[:-1], 1), dtype=codes.dtype)  # what special cells point at: T may be 0
        picked = np.concatenate([flat, spare], axis=-1)[..., np.where(grid >= 0, grid, count)]
        return np.where(grid >= 0, picked, specials.astype(codes.dtype))
    spare_t = flat.new_zeros((*flat.shape[:-1], 1))
    at = torch.from_numpy(np.where(grid >= 0, grid, count)).to(codes.device)
    picked_t = torch.cat([flat, spare_t], -1)[..., at]
    return torch.where(at < count, picked_t, torch.from_numpy(specials).to(codes.device, codes.dtype))


def scatter(steps: Array, grid: np.ndarray, num_codebooks: int, num_frames: int) -> Array:
    """[..., S, steps] -> [..., K, T]: every code back to its place. ``grid`` must hold each of the K*T places once."""
    places = np.empty(num_codebooks * num_frames, dtype=np.int64)
    where = np.flatnonzero(grid >= 0)
    places[grid.reshape(-1)[where]] = where
    back = places.reshape(num_codebooks, num_frames)
    flat: Any = steps.reshape(*steps.shape[:-2], grid.size)
    if isinstance(steps, np.ndarray):
        return flat[..., back]
    return flat[..., torch.from_numpy(back).to(steps.device)]

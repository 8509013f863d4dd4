"""Random crops: a pure function of (seed, step), so a resumed run sees exactly the crops it would have seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from codectok.errors import CodectokError
from train_codec.data.clips import ClipArray

if TYPE_CHECKING:
    from train_codec.augment import Augmenter

_ROWS = 3
"""Sets the random numbers of the rows apart from others that are drawn by (seed, step)."""


@dataclass(frozen=True)
class CropBatch:
    """Crops of one step and where they come from.

    Attributes:
        audio: float32 [B, S]; zeros after a clip's end.
        clip: int64 [B], index into the ClipArray.
        start: int64 [B], first sample in the clip, a multiple of the hop.
        valid_samples: int64 [B], samples before the zeros.
        aligned: bool [B]; False where the speed was changed, so that frames of the clip are not frames of the crop.
    """

    audio: Tensor
    clip: Tensor
    start: Tensor
    valid_samples: Tensor
    aligned: Tensor

    def to(self, device: torch.device | str) -> CropBatch:
        """The same on another device."""
        moved = (self.audio, self.clip, self.start, self.valid_samples, self.aligned)
        return CropBatch(*(x.to(device, non_blocking=True) for x in moved))


def draw(
    clips: ClipArray,
    step: int,
    seed: int,
    batch: int,
    length: int,
    hop: int,
    *,
    rank: int = 0,
    world: int = 1,
    augment: Augmenter | None = None,
) -> CropBatch:
    """Crops for one step: clips by their length, starts uniformly over the multiples of ``hop`` that fit.

    A clip shorter than ``length`` is taken from its start and followed by zeros. Of several processes each takes its
    rows of one and the same batch: joined in the order of their ranks they are the batch of a single process.

    Args:
        clips: the audio.
        step: of the run.
        seed: of the run.
        batch: crops in all processes together.
        length: samples a crop.
        hop: samples between teacher frames (or code frames): starts are multiples of it.
        rank: of this process.
        world: number of processes.
        augment: applied to each crop before the zeros; None for none.

    Raises:
        CodectokError: ``batch`` is not a multiple of ``world``, or a size below 1.
    """
    if min(batch, length, hop, world) < 1 or not 0 <= rank < world or batch % world:
        raise CodectokError(
            f"cannot share {batch} crops of {length} samples among {world} processes: make batch a multiple"
        )
    if not len(clips) or not clips.ends[-1]:
        raise CodectokError("there is no audio to draw crops from")
    rng = np.random.default_rng((seed, step))
    which = np.searchsorted(clips.ends, rng.integers(0, clips.ends[-1], batch), side="right")
    slots = np.maximum(clips.lengths[which] - length, 0) // hop + 1
    starts = (rng.random(batch) * slots).astype(np.int64) * hop
    share = batch // world
    audio = np.zeros((share, length), dtype=np.float32)
    rows = range(rank * share, (rank + 1) * share)
    valid, aligned = np.zeros(share, np.int64), np.ones(share, bool)
    for out, row in enumerate(rows):
        index, start = int(which[row]), int(starts[row])
        if augment is None:
            piece = clips.piece(index, start, length)
        else:
            own = np.random.default_rng((seed, step, _ROWS, row))
            factor = augment.speed(own)
            aligned[out] = factor == 1.0
            needed = math.ceil(length * factor)
            if start + needed > clips.lengths[index]:  # a faster crop takes more audio: start earlier if that helps
                start = starts[row] = max(0, int(clips.lengths[index]) - needed) // hop * hop
            piece = augment(clips.piece(index, start, needed), own, factor)[:length]
        audio[out, : len(piece)] = piece
        valid[out] = len(piece)
    own_rows = slice(rows.start, rows.stop)
    arrays = (audio, which[own_rows].astype(np.int64), starts[own_rows], valid, aligned)
    return CropBatch(*(torch.from_numpy(x) for x in arrays))

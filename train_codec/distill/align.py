"""A teacher's frames onto a codec's frames, by exact arithmetic on the spans of time that they stand for.

Teacher frame t stands for the time ``[o + t h, o + (t + 1) h)`` and codec frame j of a crop from s on for
``[s + j F, s + (j + 1) F)``, all in samples of the codec's audio, h and o exact fractions. The target of codec frame j
is the mean of the teacher's frames, each weighted by how long the two spans overlap:

    target_j = sum_t w_jt x_t / sum_t w_jt,   w_jt = max(0, min(o + (t + 1) h, s + (j + 1) F) - max(o + t h, s + j F))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Grid:
    """Where a teacher's frames lie: hop h and start o of the first, in samples of the codec's audio."""

    hop: Fraction
    offset: Fraction = Fraction(0)

    @classmethod
    def of(cls, encoder_hop: int, encoder_offset: int, encoder_rate: int, sample_rate: int) -> Grid:
        """The grid of an encoder at ``encoder_rate`` Hz in samples at ``sample_rate`` Hz."""
        ratio = Fraction(sample_rate, encoder_rate)
        return cls(encoder_hop * ratio, encoder_offset * ratio)


def pooling(grid: Grid, start: int, num_frames: int, frame_size: int, available: int) -> tuple[int, np.ndarray]:
    """Weights of the teacher's frames in each codec frame.

    Args:
        grid: of the teacher's frames.
        start: first sample s of the crop.
        num_frames: codec frames T of the crop.
        frame_size: samples F of each.
        available: teacher frames that exist, from 0 on.

    Returns:
        first: the first teacher frame of the columns.
        weights: float64 [T, n], each row sums to 1, or to 0 where no teacher frame overlaps.
    """
    # All lengths in units of 1 / scale samples are whole numbers.
    scale = math.lcm(grid.hop.denominator, grid.offset.denominator)
    hop, offset = int(grid.hop * scale), int(grid.offset * scale)
    edges = (start + np.arange(num_frames + 1, dtype=np.int64) * frame_size) * scale
    first = int(np.clip((edges[0] - offset) // hop, 0, available))
    stop = int(np.clip(-((offset - edges[-1]) // hop), first, available))
    begins = offset + np.arange(first, stop, dtype=np.int64) * hop
    overlap = np.minimum(begins + hop, edges[1:, None]) - np.maximum(begins, edges[:-1, None])
    overlap = np.maximum(overlap, 0)
    total = overlap.sum(1, keepdims=True)
    return first, overlap / np.maximum(total, 1)

"""Clips back to back in one int16 array on disk: random access to any stretch of any clip, at no cost at start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """One clip of a :class:`ClipArray`: its path or id, and where it lies, in samples."""

    path: str
    start: int
    length: int


class ClipArray:
    """Clips back to back in one (memory-mapped) int16 array.

    Args:
        samples: int16 [S].
        clips: where each lies.
        sample_rate: Hz, 0 if not known.
        fingerprint: sha256 of the samples; equal wherever the same audio was decoded, so a resumed run can make sure
            that it goes on with the same data.
    """

    def __init__(self, samples: np.ndarray, clips: list[ClipSpan], sample_rate: int = 0, fingerprint: str = "") -> None:
        self.samples = samples
        self.clips = clips
        self.sample_rate = sample_rate
        self.fingerprint = fingerprint
        self.lengths = np.array([clip.length for clip in clips], dtype=np.int64)
        """Samples of each clip, int64 [N]."""
        self.ends = np.cumsum(self.lengths)
        """Running sum of ``lengths``, int64 [N]: what a draw by length searches."""

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def seconds(self) -> float:
        """Of audio in all (0 if the rate is not known)."""
        return float(self.lengths.sum() / self.sample_rate) if self.sample_rate else 0.0

    def read(self, clip: ClipSpan) -> np.ndarray:
        """float32 [length] in [-1, 1)."""
        return self._floats(clip.start, clip.start + clip.length)

    def piece(self, index: int, start: int, length: int) -> np.ndarray:
        """Samples ``start`` up to ``start + length`` of clip ``index``, float32; fewer where the clip ends before."""
        clip = self.clips[index]
        stop = min(start + length, clip.length)
        return self._floats(clip.start + start, clip.start + max(start, stop))

    def _floats(self, start: int, stop: int) -> np.ndarray:
        return self.samples[start:stop].astype(np.float32) / np.float32(32768.0)

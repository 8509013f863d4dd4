"""F0 correlation: whether the melody of speech survives."""

from __future__ import annotations

import numpy as np

from codectok.metrics.native import native
from codectok.metrics.registry import Metric, MetricError, MetricUnavailable
from codectok.metrics.signal import RATE, aligned_pair, finite

INSTALL = "pip install pyworld"
FEWEST_FRAMES = 20
"""Of 5 ms, voiced in both clips: 0.1 s. A correlation over fewer says nothing."""


def f0(samples: np.ndarray) -> np.ndarray:
    """Fundamental frequency in Hz of float64 [S] at 16 kHz, float64 [T] every 5 ms; 0 where unvoiced.

    WORLD's DIO, refined by StoneMask, 71 to 800 Hz (Morise et al. 2009, 2016).

    Raises:
        MetricUnavailable: the package ``pyworld`` is missing.
        MetricError: its C code crashed on the clip.
    """
    try:
        import pyworld
    except ImportError as error:
        raise MetricUnavailable(f"F0 correlation: pyworld is not installed: {INSTALL}") from error
    clip = np.ascontiguousarray(samples, dtype=np.float64)
    rough, times = native("F0 correlation", pyworld.dio, clip, RATE)
    return np.asarray(native("F0 correlation", pyworld.stonemask, clip, rough, times, RATE))


def f0_correlation(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """Pearson's correlation of F0 in Hz over the frames that are voiced in both clips, -1 to 1.

    It says nothing of frames that lost or gained voicing, and nothing of a constant shift of the pitch.

    Raises:
        MetricUnavailable: the package ``pyworld`` is missing.
        MetricError: less than 0.1 s voiced in both, a pitch that never moves, or unequal lengths.
    """
    first, second = (f0(x) for x in aligned_pair(reference, estimate, rate))
    voiced = (first > 0) & (second > 0)
    if voiced.sum() < FEWEST_FRAMES:
        raise MetricError(
            f"F0 correlation: {voiced.sum()} frames of 5 ms are voiced in both, of {FEWEST_FRAMES} needed"
        )
    pair = np.stack([first[voiced], second[voiced]])
    if (pair.std(1) < 1e-6).any():
        raise MetricError("F0 correlation is not defined for a pitch that never moves")
    return finite(float(np.corrcoef(pair)[0, 1]), "F0 correlation")


_SOURCE = "Pearson; F0 by WORLD's DIO and StoneMask (Morise et al., 2009, 2016)"
F0_CORR = Metric("f0_corr", "F0 correlation", f0_correlation, "", True, _SOURCE, 3, INSTALL)
"""Correlation of the pitch tracks where both clips are voiced."""

"""Speed and pitch together, by resampling (speed perturbation, Ko et al., Interspeech 2015)."""

from __future__ import annotations

import numpy as np

from codectok.audio import resample

_STEPS = 100
"""Factors are whole hundredths: resampling by a simple ratio is cheap."""


def draw_speed(rng: np.random.Generator, low: float, high: float) -> float:
    """A factor between ``low`` and ``high``; above 1 is faster and higher."""
    return int(rng.integers(round(low * _STEPS), round(high * _STEPS) + 1)) / _STEPS


def change_speed(audio: np.ndarray, factor: float) -> np.ndarray:
    """float32 [S] -> float32 [ceil(S / factor)].

    The frames of a teacher that heard the original no longer lie where the crop's do: alignment is lost.
    """
    return resample(audio, round(factor * _STEPS), _STEPS)

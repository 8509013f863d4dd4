"""Level and polarity: a codec must not depend on either."""

from __future__ import annotations

import numpy as np

CEILING = 0.99
"""Largest magnitude that a raised crop may reach: 16-bit audio would clip beyond 1."""


def gain(audio: np.ndarray, rng: np.random.Generator, low_db: float, high_db: float) -> np.ndarray:
    """float32 [S] by a factor drawn uniformly in dB; less where it would clip."""
    peak = max(float(np.abs(audio).max(initial=0.0)), 1e-3)
    factor = 10 ** (rng.uniform(low_db, high_db) / 20)
    return audio * np.float32(min(factor, CEILING / peak))


def flip(audio: np.ndarray) -> np.ndarray:
    """float32 [S] with its polarity reversed, which nobody hears."""
    return -audio

"""Noise that is the same on every machine and in every run: a table computed from a counter."""

from __future__ import annotations

import numpy as np


def noise_table(frames: int, width: int) -> np.ndarray:
    """Standard normal float32 [frames, width], the same for ever.

    Integers 1, 2, ... go through splitmix64 (Steele, Lea & Flood 2014), which gives 53 good bits each, and pairs of
    those through Box & Muller (1958). No library's random generator is asked: those change between versions.
    """
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        z = np.arange(1, 2 * frames * width + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    a, b = ((z >> np.uint64(11)).astype(np.float64) + 0.5).reshape(2, frames, width) / 2.0**53
    return (np.sqrt(-2 * np.log(a)) * np.cos(2 * np.pi * b)).astype(np.float32)

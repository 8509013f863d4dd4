"""Audio to test with: made from a seed, so that no test needs a file."""

from __future__ import annotations

import numpy as np


def voice(num_samples: int, rate: int, seed: int = 0) -> np.ndarray:
    """Speech-like audio: a gliding harmonic tone with syllables and breath, float32 [num_samples] at ``rate`` Hz.

    Examples:
        >>> from codectok.testing import voice
        >>> codectok.load("random").encode(voice(16000, rate=16000), 16000).duration
        1.0
    """
    rng = np.random.default_rng(seed)
    t = np.arange(num_samples) / rate
    pitch = 110 + 60 * rng.random() + 30 * np.sin(2 * np.pi * (0.7 + rng.random()) * t + rng.random() * 6)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    tone = sum(np.sin(k * phase + rng.random() * 6) / k for k in range(1, 20))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 3.1 * t + rng.random() * 6)
    return (0.1 * tone * syllables + 0.01 * rng.standard_normal(num_samples)).astype(np.float32)

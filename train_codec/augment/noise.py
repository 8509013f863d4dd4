"""Additive noise at a drawn signal-to-noise ratio: generated (white, pink, brown) or from recordings."""

from __future__ import annotations

import numpy as np

from train_codec.data.clips import ClipArray

COLOURS = (0.0, 1.0, 2.0)
"""Exponents b of the power density 1/f^b: white, pink, brown."""


def coloured_noise(length: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise float32 [length] of RMS about 1 with power density 1/f^exponent, above f = 1/length."""
    bins = length // 2 + 1
    # Made in the frequency domain: one inverse transform, and the spectrum is right by construction.
    spectrum = rng.standard_normal(2 * bins, dtype=np.float32).view(np.complex64)
    frequency = np.arange(bins, dtype=np.float32)
    frequency[0] = np.inf if exponent else 1.0
    spectrum *= frequency ** np.float32(-exponent / 2)
    noise = np.fft.irfft(spectrum, length).astype(np.float32, copy=False)
    return noise / max(_rms(noise), np.float32(1e-20))


def recorded_noise(length: int, clips: ClipArray, rng: np.random.Generator) -> np.ndarray:
    """A random stretch float32 [length] of recordings (chosen by length); a shorter one is repeated."""
    index = int(np.searchsorted(clips.ends, rng.integers(0, clips.ends[-1]), side="right"))
    have = int(clips.lengths[index])
    start = int(rng.integers(0, max(0, have - length) + 1))
    return np.resize(clips.piece(index, start, length), length)


def add_noise(audio: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """``audio`` plus ``noise`` (float32 [S] each), scaled to that ratio of their powers in dB.

    Silence stays silence: it has no level that noise could be related to.
    """
    level, loudness = _rms(audio), _rms(noise)
    if level == 0 or loudness == 0:
        return audio
    return audio + noise * np.float32(level / loudness * 10 ** (-snr_db / 20))


def _rms(x: np.ndarray) -> np.float32:
    return np.sqrt(np.vdot(x, x) / np.float32(max(1, len(x))))

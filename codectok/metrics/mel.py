"""Mel spectrograms in plain numpy: no model and no optional package is needed to look at or compare audio."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Hz to mel, O'Shaughnessy's formula (HTK)."""
    return 2595.0 * np.log10(1.0 + np.asarray(hz, dtype=np.float64) / 700.0)


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    """Inverse of :func:`hz_to_mel`."""
    return 700.0 * (10.0 ** (np.asarray(mel, dtype=np.float64) / 2595.0) - 1.0)


@lru_cache(maxsize=32)
def mel_filters(rate: int, window: int, bands: int, top_hz: float) -> np.ndarray:
    """Triangular filters [bands, window // 2 + 1], evenly spaced in mel from 0 to ``top_hz``; each sums to 1.

    A triangle narrower than the distance of two bins takes the bin nearest to its centre, so that no band is empty.
    """
    bins = np.arange(window // 2 + 1) * rate / window
    edges = mel_to_hz(np.linspace(0.0, float(hz_to_mel(top_hz)), bands + 2))
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    filters = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clip(0.0)
    empty = np.flatnonzero(filters.sum(1) == 0)
    nearest = np.rint(edges[1:-1][empty] * window / rate).astype(int)
    inside = nearest < bins.size
    filters[empty[inside], nearest[inside]] = 1.0
    filters /= np.maximum(filters.sum(1, keepdims=True), 1e-12)
    filters.flags.writeable = False
    return filters


def magnitudes(samples: np.ndarray, window: int, hop: int) -> np.ndarray:
    """STFT magnitudes [T, window // 2 + 1] of float [S]; Hann, frames centred at every ``hop`` samples, zeros outside.

    A full-scale sine has magnitude 1 at its bin.
    """
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    padded = np.pad(np.asarray(samples, dtype=np.float32), (window // 2, window - window // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    scale = np.float32(2.0 / hann.sum())
    # In slices, so that the windowed copies of a long clip are never all in memory.
    parts = [np.abs(np.fft.rfft(frames[i : i + 512] * hann.astype(np.float32))) for i in range(0, len(frames), 512)]
    return np.concatenate(parts) * scale


def log_mel(
    samples: np.ndarray, rate: int, window: int, hop: int, bands: int, top_hz: float, floor_db: float = -100.0
) -> np.ndarray:
    """Mel magnitudes in dB below full scale, float [T, bands], nothing under ``floor_db``."""
    mel = magnitudes(samples, window, hop) @ mel_filters(rate, window, bands, top_hz).T
    return 20.0 * np.log10(np.maximum(mel, 10.0 ** (floor_db / 20.0)))

"""A coder's delay: found over many clips, removed from each. PESQ aligns its clips itself, STOI does not.

Parametric coders (Codec2) keep no waveform to match, only its envelope, so envelopes are correlated. The delay belongs
to the coder more than to the clip: correlations of all clips are added up, which makes their maximum sharp. A clip that
disagrees by more than a few milliseconds keeps its own (speexdec trims some files by its lookahead, and some not).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BANDS = (150, 300, 600, 1200, 2400, 4300)
"""Edges in Hz of the bands whose envelopes are matched: octaves over the range that STOI looks at."""
SMOOTHING_SECONDS = 0.016
"""Width of the window that turns a band into its envelope: over one pitch period, under a phone."""
AGREEMENT_SECONDS = 0.01
"""Clips whose own delays differ by less have the same: an envelope tells no more precisely where a clip is."""


def envelopes(samples: np.ndarray, rate: int) -> np.ndarray:
    """Smoothed magnitudes of the bands of float [S], means removed, norms 1 (or 0): float64 [len(BANDS) - 1, S]."""
    spectrum = np.fft.rfft(np.asarray(samples, dtype=np.float64))
    hz = np.fft.rfftfreq(len(samples), 1 / rate)
    inside = (hz >= np.array(BANDS[:-1])[:, None]) & (hz < np.array(BANDS[1:])[:, None])
    window = np.hanning(round(SMOOTHING_SECONDS * rate) | 1)
    bands = np.abs(np.fft.irfft(spectrum * inside, len(samples)))
    smooth = np.stack([np.convolve(band, window, mode="full") for band in bands])
    smooth = smooth[:, len(window) // 2 :][:, : len(samples)]
    smooth -= smooth.mean(1, keepdims=True)
    return smooth / np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-12)


def find_delays(
    references: Sequence[np.ndarray], estimates: Sequence[np.ndarray], rate: int, most_seconds: float = 0.05
) -> list[int]:
    """Samples by which each estimate comes late (negative: early), at most ``most_seconds`` either way.

    Args:
        references: originals, float [S] each at ``rate`` Hz.
        estimates: reconstructions by one coder, float [S'] each.
        rate: Hz.
        most_seconds: how far to look.
    """
    most, near = round(most_seconds * rate), round(AGREEMENT_SECONDS * rate)
    matched = np.stack([_correlation(r, e, rate, most) for r, e in zip(references, estimates, strict=True)])
    own = matched.argmax(1) - most
    agreeing = np.abs(own - np.median(own)) <= near
    common = int(matched[agreeing].sum(0).argmax()) - most if agreeing.any() else int(np.median(own))
    return [common if abs(int(d) - common) <= near else int(d) for d in own]


def _correlation(reference: np.ndarray, estimate: np.ndarray, rate: int, most: int) -> np.ndarray:
    """Of the envelopes, at delays from -most to most, float64 [2 * most + 1]."""
    first, second = envelopes(reference, rate), envelopes(estimate, rate)
    # Long enough that the circular correlation wraps only zeros.
    size = 1 << (max(first.shape[1], second.shape[1]) + most).bit_length()
    product = np.fft.rfft(second, size) * np.conj(np.fft.rfft(first, size))
    matched = np.fft.irfft(product.sum(0), size)
    return np.concatenate([matched[-most:], matched[: most + 1]])


def remove_delay(estimate: np.ndarray, delay: int, num_samples: int) -> np.ndarray:
    """``num_samples`` of the estimate from sample ``delay`` on; zeros where it has none. The level stays."""
    late = estimate[delay:] if delay >= 0 else np.concatenate([np.zeros(-delay, estimate.dtype), estimate])
    return np.pad(late[:num_samples], (0, max(0, num_samples - len(late))))

"""STFT distance: how far apart two clips are in plain spectra, at two resolutions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from codectok.metrics.registry import Metric, MetricError
from codectok.metrics.signal import aligned_pair, finite

WINDOWS = (2048, 512)
"""Samples at 16 kHz; each hops by a quarter."""
_FLOOR = 1e-5


def stft_distance(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """Mean absolute difference of STFT magnitudes plus that of their squares' decimal logarithms, summed over windows.

    The reconstruction loss of Kumar et al. 2023 (DAC) and the STFT distance of Codec-SUPERB (Wu et al. 2024):
    periodic Hann windows, reflected edges, samples in -1 to 1, magnitudes under 1e-5 counted as 1e-5.

    Raises:
        MetricError: unequal lengths, or shorter than half the longest window (64 ms).
    """
    ref, est = (torch.from_numpy(x) for x in aligned_pair(reference, estimate, rate))
    if len(ref) <= WINDOWS[0] // 2:
        raise MetricError(f"STFT distance: {len(ref)} samples are less than half a window of {WINDOWS[0]}")
    total = 0.0
    for window in WINDOWS:
        first, second = _magnitudes(ref, window), _magnitudes(est, window)
        logs = [2 * x.clamp(min=_FLOOR).log10() for x in (first, second)]
        total += float((logs[0] - logs[1]).abs().mean() + (first - second).abs().mean())
    return finite(total, "STFT distance")


def _magnitudes(samples: Tensor, window: int) -> Tensor:
    shape = torch.hann_window(window, dtype=samples.dtype)
    return torch.stft(samples, window, window // 4, window=shape, pad_mode="reflect", return_complex=True).abs()


_KUMAR = "Kumar et al., NeurIPS 2023 (DAC); Codec-SUPERB (2024)"
STFT = Metric("stft", "STFT distance", stft_distance, "", False, _KUMAR)
"""Difference of short-time spectra, linear and logarithmic."""

"""Band-limited speech: telephones, old recordings, low-rate sources."""

from __future__ import annotations

import numpy as np

from train_codec.augment.fft import fast_size

_TRANSITION = 0.1
"""Width of the filter's slope, as a share of its cutoff: narrower would ring."""


def lowpass(audio: np.ndarray, cutoff: float, sample_rate: int) -> np.ndarray:
    """float32 [S] without what lies above ``cutoff`` Hz; zero phase, so nothing is delayed.

    The gain falls from 1 to 0 as a raised cosine over the tenth of the cutoff that lies below it.
    """
    if cutoff >= sample_rate / 2:
        return audio
    pad = round(4 * sample_rate / (_TRANSITION * cutoff))  # what the filter spreads must not come round to the start
    size = fast_size(len(audio) + pad)
    spectrum = np.fft.rfft(audio, size)
    first, last = (int(np.ceil(hz * size / sample_rate)) for hz in ((1 - _TRANSITION) * cutoff, cutoff))
    slope = (cutoff - np.arange(first, last) * (sample_rate / size)) / (_TRANSITION * cutoff)
    spectrum[first:last] *= 0.5 - 0.5 * np.cos(np.pi * slope)
    spectrum[last:] = 0
    return np.fft.irfft(spectrum, size)[: len(audio)].astype(np.float32, copy=False)

"""What the spectral losses share: float32 spectra whose gradient is finite at silence, and the check of a pair."""

from __future__ import annotations

import torch
from torch import Tensor

from codectok.errors import AudioError


def full_precision(x: Tensor) -> torch.autocast:
    """Autocast switched off on the device of ``x``: a spectrum in bfloat16 has 8 bits for 90 dB of speech."""
    return torch.autocast(x.device.type, enabled=False)


def check_pair(predicted: Tensor, target: Tensor, longest: int = 0) -> tuple[Tensor, Tensor]:
    """Both waveforms as float32 [B, S], long enough for a window of ``longest`` samples.

    Raises:
        AudioError: another shape than [B, S], shapes that differ, or too few samples to reflect at the ends.
    """
    if predicted.ndim != 2 or predicted.shape != target.shape:
        raise AudioError(
            f"a loss compares two waveforms [B, S]: got {list(predicted.shape)} and {list(target.shape)}; "
            "trim them to one length and drop the channel"
        )
    if predicted.shape[1] <= longest // 2:
        raise AudioError(
            f"{predicted.shape[1]} samples are too few for a window of {longest}: "
            f"use crops of more than {longest // 2} samples or shorter windows"
        )
    return predicted.float(), target.float()


def unit_window(n: int) -> Tensor:
    """Hann window of ``n`` samples and energy 1: white noise of variance 1 has magnitude about 1, whatever ``n``."""
    window = torch.hann_window(n)
    return window / window.square().sum().sqrt()


def spectrum(x: Tensor, window: Tensor, hop: int, n_fft: int | None = None) -> Tensor:
    """Centred short-time Fourier transform, complex [B, F, T], of float32 [B, S]."""
    n = len(window)
    return torch.stft(x, n_fft or n, hop, n, window=window, return_complex=True)


def magnitude(z: Tensor, floor: float = 1e-8) -> Tensor:
    """Square root of power plus ``floor``: without it the gradient at digital silence is infinite."""
    return (z.real.square() + z.imag.square() + floor).sqrt()

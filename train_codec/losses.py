"""Reconstruction losses on waveforms [B, S], each averaged over the batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mel_filters(n_mels: int, n_fft: int, sample_rate: int) -> Tensor:
    """Triangular filters on the HTK mel scale, peak 1, float32 [n_fft // 2 + 1, n_mels]."""

    def to_mel(hz: Tensor) -> Tensor:
        return 2595.0 * torch.log10(1.0 + hz / 700.0)

    bins = to_mel(torch.linspace(0, sample_rate / 2, n_fft // 2 + 1))
    edges = torch.linspace(0, float(to_mel(torch.tensor(sample_rate / 2.0))), n_mels + 2)
    rising = (bins[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp_min(0)


class SpectralLosses(nn.Module):
    """Log-mel L1 (as DAC, Kumar et al. 2023) and power-compressed complex distance, over several window lengths.

    The mel term shapes what is heard; the complex term (compression 0.3, as used in speech enhancement, Braun & Tashev
    2020) ties the phase where it can be coded. A log floor keeps digital silence from dominating.
    """

    def __init__(self, sample_rate: int, windows: list[int]) -> None:
        super().__init__()
        self.windows = windows
        for n in windows:
            self.register_buffer(f"window_{n}", torch.hann_window(n), persistent=False)
            self.register_buffer(f"mel_{n}", mel_filters(max(6, n * 5 // 64), n, sample_rate), persistent=False)

    def _spectrum(self, x: Tensor, n: int) -> Tensor:
        window = self.get_buffer(f"window_{n}")
        return torch.stft(x, n, n // 4, window=window, return_complex=True) / window.square().sum().sqrt()

    def forward(self, predicted: Tensor, target: Tensor, which: list[int]) -> dict[str, Tensor]:
        """Losses over the window lengths ``which``; predicted and target [B, S] float32."""
        mel = predicted.new_zeros(())
        complex_ = predicted.new_zeros(())
        for n in which:
            with torch.no_grad():
                t = self._spectrum(target, n)
                t_mag = (t.real.square() + t.imag.square() + 1e-8).sqrt()
                t_mel = (t_mag.mT @ self.get_buffer(f"mel_{n}")).clamp_min(1e-3).log10()
                t_gain = t_mag.pow(-0.7)
            p = self._spectrum(predicted, n)
            p_mag = (p.real.square() + p.imag.square() + 1e-8).sqrt()
            p_mel = (p_mag.mT @ self.get_buffer(f"mel_{n}")).clamp_min(1e-3).log10()
            mel = mel + (p_mel - t_mel).abs().mean()
            p_gain = p_mag.pow(-0.7)
            complex_ = (
                complex_
                + ((p.real * p_gain - t.real * t_gain).square() + (p.imag * p_gain - t.imag * t_gain).square()).mean()
            )
        return {"mel": mel / len(which), "complex": complex_ / len(which)}


def waveform_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error relative to each item's RMS, so that quiet clips count as much as loud ones."""
    scale = target.square().mean(1, keepdim=True).sqrt().clamp_min(1e-2)
    return ((predicted - target).abs() / scale).mean()

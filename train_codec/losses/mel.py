"""Distances between mel spectrograms, as DAC and as EnCodec define them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from train_codec.losses.spectrum import check_pair, full_precision, magnitude, spectrum, unit_window


def mel_filters(
    n_mels: int, n_fft: int, sample_rate: int, scale: Literal["htk", "slaney"] = "htk", equal_area: bool = False
) -> Tensor:
    """Triangular filters, float32 [n_fft // 2 + 1, n_mels].

    ``scale``: HTK's 2595 log10(1 + f/700), or Slaney's, linear below 1 kHz (librosa's default). ``equal_area`` divides
    each by half its width in Hz (Slaney's normalization); otherwise the peaks are 1. A filter narrower than the bin
    spacing may hold no bin and is then all zero.
    """

    def to_mel(hz: Tensor) -> Tensor:
        if scale == "htk":
            return 2595.0 * torch.log10(1.0 + hz / 700.0)
        return torch.where(hz < 1000, hz * 3 / 200, 15 + (hz.clamp_min(1000) / 1000).log() * 27 / math.log(6.4))

    def to_hz(mel: Tensor) -> Tensor:
        if scale == "htk":
            return 700.0 * (10 ** (mel / 2595.0) - 1)
        return torch.where(mel < 15, mel * 200 / 3, 1000 * ((mel - 15) * math.log(6.4) / 27).exp())

    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    edges = torch.linspace(0, float(to_mel(bins[-1])), n_mels + 2, dtype=torch.float64)
    hz = to_hz(edges)
    if scale == "htk" and not equal_area:
        bins = to_mel(bins)  # triangles straight in mel, as HTK has them
    else:
        edges = hz  # triangles straight in Hz, as librosa has them
    rising = (bins[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp_min(0)
    return (filters * (2 / (hz[2:] - hz[:-2])) if equal_area else filters).float()


class MelLoss(nn.Module):
    """DAC's multi-scale mel loss (Kumar et al. 2023, section 3.4): L1 of log10 mel magnitudes, summed over windows.

    Each window has its own number of mels, so that short windows see time and long ones frequency. Hops are a quarter
    of the window, the filters librosa's, ``clamp`` the floor below which a mel counts as silent. The paper's weight of
    15 goes with the sum over the seven scales.
    """

    def __init__(
        self,
        sample_rate: int,
        windows: Sequence[int] = (32, 64, 128, 256, 512, 1024, 2048),
        n_mels: Sequence[int] = (5, 10, 20, 40, 80, 160, 320),
        clamp: float = 1e-5,
    ) -> None:
        super().__init__()
        self.windows, self.clamp = list(windows), clamp
        for n, mels in zip(windows, n_mels, strict=True):
            self.register_buffer(f"window_{n}", torch.hann_window(n), persistent=False)
            self.register_buffer(f"mel_{n}", mel_filters(mels, n, sample_rate, "slaney", True), persistent=False)

    def _log_mel(self, x: Tensor, n: int) -> Tensor:
        mag = magnitude(spectrum(x, self.get_buffer(f"window_{n}"), n // 4), 1e-12)
        return (mag.mT @ self.get_buffer(f"mel_{n}")).clamp_min(self.clamp).log10()

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """The loss of two waveforms [B, S], a scalar.

        Raises:
            AudioError: the shapes differ, or the crop is shorter than half the longest window.
        """
        predicted, target = check_pair(predicted, target, max(self.windows))
        loss = predicted.new_zeros(())
        with full_precision(predicted):
            for n in self.windows:
                with torch.no_grad():
                    t = self._log_mel(target, n)
                loss = loss + (self._log_mel(predicted, n) - t).abs().mean()
        return loss


class EncodecMelLoss(nn.Module):
    """EnCodec's frequency loss (Défossez et al. 2022, eq. 1): L1 + alpha L2 of 64-band mels, windows 2^5 to 2^11.

    As the authors train it: L1 of the mel of a normalized power spectrum, and the mean square of its log10 (floor
    added before the log), summed over windows and divided by the sum of the coefficients, so that the scale does not
    depend on how many windows there are. The paper takes alpha = 1; SoundStream sqrt(window / 2).
    """

    def __init__(
        self,
        sample_rate: int,
        windows: Sequence[int] = (32, 64, 128, 256, 512, 1024, 2048),
        n_mels: int = 64,
        alphas: Sequence[float] | None = None,
        floor: float = 1e-5,
    ) -> None:
        super().__init__()
        self.windows, self.floor = list(windows), floor
        self.alphas = [1.0] * len(self.windows) if alphas is None else list(alphas)
        for n in self.windows:
            self.register_buffer(f"window_{n}", unit_window(n), persistent=False)
            self.register_buffer(f"mel_{n}", mel_filters(n_mels, n, sample_rate), persistent=False)

    def _mel(self, x: Tensor, n: int) -> Tensor:
        z = spectrum(x, self.get_buffer(f"window_{n}"), n // 4)
        return (z.real.square() + z.imag.square()).mT @ self.get_buffer(f"mel_{n}")

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """The loss of two waveforms [B, S], a scalar.

        Raises:
            AudioError: the shapes differ, or the crop is shorter than half the longest window.
        """
        predicted, target = check_pair(predicted, target, max(self.windows))
        loss = predicted.new_zeros(())
        with full_precision(predicted):
            for n, alpha in zip(self.windows, self.alphas, strict=True):
                with torch.no_grad():
                    t = self._mel(target, n)
                p = self._mel(predicted, n)
                in_log = ((self.floor + p).log10() - (self.floor + t).log10()).square().mean()
                loss = loss + (p - t).abs().mean() + alpha * in_log
        return loss / (len(self.windows) + sum(self.alphas))

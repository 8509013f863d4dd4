"""Noise-to-signal ratio in the bands of the ear, saturating: what waveform coders are judged by, band by band.

Where a band cannot be coded its term levels off, and the network puts its effort elsewhere; a squared error goes on
pulling all bands towards silence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codectok.codec.envelope.bands import erb
from train_codec.losses.spectrum import check_pair, full_precision

WINDOWS = (256, 640)
"""Samples at 16 kHz; hops are half of them."""
BANDS = 28
STEEPNESS = 4.0
"""In log(1 + STEEPNESS * ratio)."""
UPPER = 4000.0
"""Hz from which on bands count UPPER_WEIGHT: phase is hardly heard there."""
UPPER_WEIGHT = 0.3
FLOOR = 1e-4
"""Of a crop's mean band power: what lies below is as good as silent."""
LOWEST, HIGHEST = 80.0, 0.4875
"""Hz of the first band's centre, and the last one's as a share of the sample rate."""


class BandNoiseLoss(nn.Module):
    """Mean over bands and frames of log(1 + 4 noise / signal), weighed by how audible the target is there.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.windows = [round(n * sample_rate / 16000) for n in WINDOWS]
        for n in self.windows:
            bands, weights = _bands(n, sample_rate)
            self.register_buffer(f"window_{n}", torch.hann_window(n), persistent=False)
            self.register_buffer(f"bands_{n}", bands, persistent=False)
            self.register_buffer(f"weights_{n}", weights, persistent=False)

    def forward(self, predicted: Tensor, target: Tensor, item_weights: Tensor | None = None) -> Tensor:
        """A scalar, 0 for equal waveforms [B, S]; ``item_weights`` [B] multiply the items' losses before the mean.

        Raises:
            AudioError: the shapes differ, or the crops are shorter than half a window.
        """
        predicted, target = check_pair(predicted, target, max(self.windows))
        total = predicted.new_zeros(len(target))
        with full_precision(predicted):
            for n in self.windows:
                signal = self._powers(target, n)
                noise = self._powers(target - predicted, n)
                floor = FLOOR * signal.mean((1, 2), keepdim=True) + 1e-7
                counts = self.get_buffer(f"weights_{n}") * signal / (signal + 10 * floor)
                ratio = torch.log1p(STEEPNESS * noise / (signal + floor))
                total = total + (ratio * counts).sum((1, 2)) / counts.sum((1, 2)).clamp_min(1e-6)
        total = total / len(self.windows)
        return total.mean() if item_weights is None else (total * item_weights).mean()

    def _powers(self, x: Tensor, n: int) -> Tensor:
        """[B, T, bands] of samples [B, S]."""
        z = torch.stft(x, n, n // 2, window=self.get_buffer(f"window_{n}"), return_complex=True).mT
        return (z.real.square() + z.imag.square()) @ self.get_buffer(f"bands_{n}")


def _bands(n: int, sample_rate: int) -> tuple[Tensor, Tensor]:
    """Triangles on the ERB scale, each with bins and of sum 1, [n / 2 + 1, bands], and weights [bands]."""
    at = erb(torch.arange(n // 2 + 1) * sample_rate / n)
    ends = erb(torch.tensor([LOWEST, HIGHEST * sample_rate]))
    centres = torch.linspace(float(ends[0]), float(ends[1]), BANDS)
    triangles = (1 - (at[:, None] - centres).abs() / (centres[1] - centres[0])).clamp_min(0)
    held = triangles.sum(0) > 0
    triangles, centres = triangles[:, held], centres[held]
    lower = centres < erb(torch.tensor(UPPER))
    return triangles / triangles.sum(0), torch.where(lower, 1.0, UPPER_WEIGHT)

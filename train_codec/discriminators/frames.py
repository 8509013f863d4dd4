"""A discriminator that a CPU can afford: a few strided convolutions over patches of compressed spectra."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codectok.errors import CodectokError
from train_codec.discriminators.discriminator import Features, as_mono, complex_spectrum, conv
from train_codec.losses.spectrum import unit_window

PATCH = 4
"""Neighbouring bins that become channels: the first convolution then has 12 inputs, which fill a vector unit, where
a convolution over real and imaginary part has 2 or 3 and takes most of the time of the discriminators of the papers."""


def compressed_patches(z: Tensor, patch: int = PATCH, power: float = 0.3) -> Tensor:
    """Complex [B, F, T] as float [B, 3 * patch, T, (F - 1) / patch]: what an ear might compare.

    A bin is the real and the imaginary part with the magnitude raised to ``power``, and the log magnitude, -80 to 0 dB
    mapped to -1 to 1. The Nyquist bin is dropped. The result is channels-last in memory, as it is made.
    """
    real, imag = torch.view_as_real(z.mT[..., :-1]).unbind(-1)
    log_power = (real.square() + imag.square() + 1e-8).log()
    gain = (log_power * ((power - 1) / 2)).exp()
    bins = (real * gain, imag * gain, 1 + log_power / 9.21)
    return torch.cat([b.unflatten(2, (-1, patch)) for b in bins], dim=-1).permute(0, 3, 1, 2)


class FrameDiscriminator(nn.Module):
    """One resolution: 3x3 convolutions, two with stride 2 in frequency, two dilated in time; logits for each patch.

    Leaky ReLU 0.1; weight norm.
    """

    def __init__(self, window: int, filters: int = 32) -> None:
        super().__init__()
        if window % (2 * PATCH):
            raise CodectokError(f"window of {window} samples: use a multiple of {2 * PATCH}")
        self.register_buffer("window", unit_window(window), persistent=False)
        self.layers = nn.ModuleList(
            [
                conv(3 * PATCH, filters, (3, 3), (1, 2)),
                conv(filters, filters, (3, 3), (1, 2), (2, 1)),
                conv(filters, filters, (3, 3), (1, 1), (4, 1)),
            ]
        )
        self.logits = conv(filters, 1, (3, 3))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Three feature maps [B, filters, T, F'] and the logits [B, 1, T, F'] of audio [B, S]."""
        window = self.get_buffer("window")
        z = complex_spectrum(x, window, len(window) // 4)
        y = compressed_patches(z)
        maps = []
        for layer in self.layers:
            y = F.leaky_relu(layer(y), 0.1)
            maps.append(y)
        return [*maps, self.logits(y)]


class MultiFrameDiscriminator(nn.Module):
    """Windows of 256, 512 and 1024 samples, hop a quarter.

    Run it under bfloat16 autocast where the CPU computes in it: spectra stay in float32, convolutions take half.
    """

    def __init__(self, windows: Sequence[int] = (256, 512, 1024), filters: int = 32) -> None:
        super().__init__()
        self.resolutions = nn.ModuleList(FrameDiscriminator(n, filters) for n in windows)
        self.least = max(windows) // 2 + 1  # the ends are reflected

    def forward(self, x: Tensor) -> Features:
        """Feature maps of audio [B, S] or [B, 1, S].

        Raises:
            AudioError: another shape, or no more than half a longest window.
        """
        x = as_mono(x, self.least)
        return [resolution(x) for resolution in self.resolutions]


def small_frames() -> MultiFrameDiscriminator:
    """A quarter as wide as :class:`MultiFrameDiscriminator`, for small runs."""
    return MultiFrameDiscriminator(filters=16)

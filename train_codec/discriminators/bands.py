"""Multi-band, multi-resolution complex STFT discriminator of DAC (Kumar et al. 2023, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train_codec.discriminators.discriminator import Features, as_channels, as_mono, complex_spectrum, conv
from train_codec.losses.spectrum import unit_window

EDGES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Of the five bands, as shares of the half sample rate."""


class BandDiscriminator(nn.Module):
    """One resolution: each band has its own convolutions, so that the highs are judged apart from the lows.

    A band's layers: 3x9, three of 3x9 with stride 2 in frequency, 3x3; the bands' outputs are joined in frequency, and
    3x3 makes the logits. Leaky ReLU 0.1; weight norm. DAC's spectra are not normalized; here they are divided by the
    root of the window's energy, which its first layer can undo. DAC removes the offset and sets the peak of every clip
    to 0.8 first; here levels are left as they are, for a codec should be judged on them too.
    """

    def __init__(self, window: int, edges: Sequence[float] = EDGES, filters: int = 32) -> None:
        super().__init__()
        self.register_buffer("window", unit_window(window), persistent=False)
        bins = window // 2 + 1
        self.bands = [(int(low * bins), int(high * bins)) for low, high in pairwise(edges)]
        self.stacks = nn.ModuleList(
            nn.ModuleList(
                [
                    conv(2, filters, (3, 9)),
                    *(conv(filters, filters, (3, 9), (1, 2)) for _ in range(3)),
                    conv(filters, filters, (3, 3)),
                ]
            )
            for _ in self.bands
        )
        self.logits = conv(filters, 1, (3, 3))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Five feature maps [B, filters, T, F'] a band and the logits [B, 1, T, sum F'] of audio [B, S]."""
        window = self.get_buffer("window")
        spectrum = as_channels(complex_spectrum(x, window, len(window) // 4))
        maps, ends = [], []
        for (low, high), stack in zip(self.bands, self.stacks, strict=True):
            y = spectrum[..., low:high]
            for layer in stack:  # type: ignore[attr-defined]
                y = F.leaky_relu(layer(y), 0.1)
                maps.append(y)
            ends.append(y)
        return [*maps, self.logits(torch.cat(ends, dim=-1))]


class MultiBandDiscriminator(nn.Module):
    """DAC's three resolutions, windows of 2048, 1024 and 512 samples, hop a quarter."""

    def __init__(
        self, windows: Sequence[int] = (2048, 1024, 512), edges: Sequence[float] = EDGES, filters: int = 32
    ) -> None:
        super().__init__()
        self.resolutions = nn.ModuleList(BandDiscriminator(n, edges, filters) for n in windows)
        self.least = max(windows) // 2 + 1  # the ends are reflected

    def forward(self, x: Tensor) -> Features:
        """Feature maps of audio [B, S] or [B, 1, S].

        Raises:
            AudioError: another shape, or no more than half a longest window.
        """
        x = as_mono(x, self.least)
        return [resolution(x) for resolution in self.resolutions]

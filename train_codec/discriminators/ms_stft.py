"""Multi-scale STFT discriminator of EnCodec (Défossez et al. 2022, section 3.4, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from train_codec.discriminators.discriminator import Features, as_channels, as_mono, complex_spectrum, conv
from train_codec.losses.spectrum import unit_window


class STFTDiscriminator(nn.Module):
    """One scale: 2-D convolutions over real and imaginary part, [B, 2, T, F].

    3x9 (time x frequency), three of 3x9 with stride 2 in frequency and dilations 1, 2 and 4 in time, 3x3, and 3x3 to
    one channel; leaky ReLU 0.2; weight norm.
    """

    def __init__(self, window: int, filters: int = 32) -> None:
        super().__init__()
        self.register_buffer("window", unit_window(window), persistent=False)
        self.layers = nn.ModuleList(
            [
                conv(2, filters, (3, 9)),
                *(conv(filters, filters, (3, 9), (1, 2), (d, 1)) for d in (1, 2, 4)),
                conv(filters, filters, (3, 3)),
            ]
        )
        self.logits = conv(filters, 1, (3, 3))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Five feature maps [B, filters, T, F'] and the logits [B, 1, T, F'] of audio [B, S]."""
        window = self.get_buffer("window")
        y = as_channels(complex_spectrum(x, window, len(window) // 4, center=False))
        maps = []
        for layer in self.layers:
            y = F.leaky_relu(layer(y), 0.2)
            maps.append(y)
        return [*maps, self.logits(y)]


class MultiScaleSTFTDiscriminator(nn.Module):
    """EnCodec's five scales, windows of 2048 to 128 samples, hop a quarter."""

    def __init__(self, windows: Sequence[int] = (2048, 1024, 512, 256, 128), filters: int = 32) -> None:
        super().__init__()
        self.scales = nn.ModuleList(STFTDiscriminator(n, filters) for n in windows)
        self.least = max(windows)  # the ends are not padded

    def forward(self, x: Tensor) -> Features:
        """Feature maps of audio [B, S] or [B, 1, S].

        Raises:
            AudioError: another shape, or less than one longest window.
        """
        x = as_mono(x, self.least)
        return [scale(x) for scale in self.scales]

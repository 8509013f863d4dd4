"""Multi-period discriminator of HiFi-GAN (Kong, Kim and Bae 2020, section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from train_codec.discriminators.discriminator import Features, as_mono, conv


class PeriodDiscriminator(nn.Module):
    """Every ``period``-th sample as one column: convolutions of 5x1 see only samples a whole number of periods apart.

    Channels 32, 128, 512 and 1024 with stride 3, 1024 with stride 1, then 3x1 to one; leaky ReLU 0.1; weight norm.
    ``width`` multiplies the channels.
    """

    def __init__(self, period: int, width: float = 1.0) -> None:
        super().__init__()
        self.period = period
        channels = [1, *(max(1, round(c * width)) for c in (32, 128, 512, 1024, 1024))]
        self.layers = nn.ModuleList(
            conv(channels[i], channels[i + 1], (5, 1), (3 if i < 4 else 1, 1)) for i in range(5)
        )
        self.logits = conv(channels[-1], 1, (3, 1))

    def fold(self, x: Tensor) -> Tensor:
        """Samples [B, S] as [B, 1, rows, period]; only a last, partial row is completed, by reflection."""
        x = F.pad(x[:, None], (0, -x.shape[1] % self.period), "reflect")
        return x.unflatten(2, (-1, self.period))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Five feature maps [B, C, rows', period] and the logits [B, 1, rows', period] of audio [B, S]."""
        y = self.fold(x)
        maps = []
        for layer in self.layers:
            y = F.leaky_relu(layer(y), 0.1)
            maps.append(y)
        return [*maps, self.logits(y)]


class MultiPeriodDiscriminator(nn.Module):
    """Periods 2, 3, 5, 7 and 11: primes, so that their rows overlap as little as possible."""

    def __init__(self, periods: Sequence[int] = (2, 3, 5, 7, 11), width: float = 1.0) -> None:
        super().__init__()
        self.periods = nn.ModuleList(PeriodDiscriminator(p, width) for p in periods)
        self.least = max(periods)

    def forward(self, x: Tensor) -> Features:
        """Feature maps of audio [B, S] or [B, 1, S].

        Raises:
            AudioError: another shape, or fewer samples than the longest period.
        """
        x = as_mono(x, self.least)
        return [period(x) for period in self.periods]

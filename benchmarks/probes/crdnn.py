"""CRDNN (Sainath et al. 2015, as in SpeechBrain): convolutions over time and feature, recurrence, a dense network."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .encoder import BiLSTM, Encoder
from .frontend import length_mask
from .options import ProbeOptions
from .probe import Probe

POOL = 2


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions, each with LayerNorm over channel and feature, then the feature axis is halved."""

    def __init__(self, channels: int, out: int, size: int, dropout: float) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(channels, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)])
        self.norms = nn.ModuleList(nn.LayerNorm([out, size]) for _ in self.convs)
        self.drop = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, C, T, F], mask float [B, 1, T, 1] -> [B, out, T, F // 2]."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = norm(conv(x * mask).transpose(1, 2)).transpose(1, 2)
            x = F.leaky_relu(y)
        pooled: Tensor = self.drop(F.max_pool2d(x, (1, POOL)))
        return pooled


class CRDNN(Encoder):
    """[B, T, dim] -> [B, T, dim].

    Args:
        dim: of a frame, 4 or more.
        width: of the recurrent layers in each direction.
        channels: of the two blocks of convolutions.
        layers: recurrent ones.
        hidden: of the two dense layers.
        dropout: everywhere.
    """

    def __init__(
        self, dim: int, width: int, channels: tuple[int, int], layers: int, hidden: int, dropout: float = 0.15
    ) -> None:
        super().__init__()
        first, second = channels
        self.first = ConvBlock(1, first, dim, dropout)
        self.second = ConvBlock(first, second, dim // POOL, dropout)
        self.recurrent = BiLSTM(second * (dim // POOL // POOL), width, layers, dropout)
        drop = nn.Dropout(dropout)
        dense = [nn.Linear(2 * width, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(), drop]
        dense += [nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(), drop, nn.Linear(hidden, dim)]
        self.dense, self.out_dim = nn.Sequential(*dense), dim

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """See :class:`Encoder`."""
        mask = length_mask(lengths, x.shape[1])
        real = mask[:, None, :, None].to(x.dtype)
        y = self.second(self.first(x[:, None], real), real)
        y = self.recurrent(y.transpose(1, 2).flatten(2), lengths)
        out: Tensor = self.dense(y) * mask[..., None]
        return out


def _build(dim: int, options: ProbeOptions) -> Encoder:
    width, dropout = options.width or (64 if options.small else 512), options.drop(0.15)
    if options.small:
        return CRDNN(dim, width, (4, 8), 1, 2 * width, dropout)
    return CRDNN(dim, width, (128, 256), 4, 512, dropout)


CRDNN_PROBE = Probe(_build, frames=True, dim=256)
"""Convolutions, bidirectional LSTM layers, and a network frame by frame."""

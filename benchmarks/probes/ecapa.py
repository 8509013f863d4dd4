"""ECAPA-TDNN (Desplanques et al. 2020): Res2 blocks with squeeze and excite, all layers joined, attentive pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codectok.errors import FormatError

from .frontend import length_mask
from .layers import ConvNorm, MaskedBatchNorm, SqueezeExcite, TimeConv, pooled
from .options import ProbeOptions
from .pooling import Pooling
from .probe import Probe

SCALE = 8


class Res2Conv(nn.Module):
    """A convolution in ``SCALE`` slices of the channels, each fed with the slice before too (Gao et al. 2019)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        if channels % SCALE:
            raise FormatError(f"{channels} channels in {SCALE} slices: give a width that {SCALE} divides")
        part = channels // SCALE
        self.convs = nn.ModuleList(ConvNorm(part, part, 3, dilation) for _ in range(SCALE - 1))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, C, T] -> [B, C, T]."""
        first, *rest = x.chunk(SCALE, 1)
        done = [first]
        for i, (conv, part) in enumerate(zip(self.convs, rest, strict=True)):
            done.append(conv(part if i == 0 else part + done[-1], mask))
        return torch.cat(done, 1)


class SERes2Block(nn.Module):
    """SE-Res2Block (figure 2 of the paper)."""

    def __init__(self, channels: int, dilation: int, inner: int) -> None:
        super().__init__()
        self.first, self.last = ConvNorm(channels, channels), ConvNorm(channels, channels)
        self.middle, self.squeeze = Res2Conv(channels, dilation), SqueezeExcite(channels, inner)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, C, T] -> [B, C, T]."""
        y: Tensor = x + self.squeeze(self.last(self.middle(self.first(x, mask), mask), mask), mask)
        return y


class AttentiveStatistics(nn.Module):
    """Weights a channel and frame, from the frame and the clip's mean and deviation (2.3 of the paper)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.tdnn, self.score = ConvNorm(3 * channels, inner), TimeConv(inner, channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, C, T] -> [B, 2 C]."""
        whole = pooled(x, mask)[..., None].expand(-1, -1, x.shape[2])
        scores = self.score(self.tdnn(torch.cat([x, whole], 1), mask).tanh(), mask)
        return pooled(x, scores.masked_fill(mask == 0, -torch.inf).softmax(2))


class ECAPA(Pooling):
    """Frames to one vector a clip.

    Args:
        dim: of a frame.
        width: channels C; 512 or 1024 in the paper.
        out_dim: of the vector; 192 in the paper.
        wide: channels of the joined layers; 1536 in the paper.
        inner: bottleneck of squeeze and excite and of attention; 128 in the paper.
    """

    def __init__(self, dim: int, width: int, out_dim: int, wide: int, inner: int) -> None:
        super().__init__()
        self.first = ConvNorm(dim, width, 5)
        self.blocks = nn.ModuleList(SERes2Block(width, dilation, inner) for dilation in (2, 3, 4))
        self.join, self.attention = TimeConv(3 * width, wide, 1), AttentiveStatistics(wide, inner)
        self.norm, self.last = MaskedBatchNorm(2 * wide), nn.Linear(2 * wide, out_dim)
        self.out_dim = out_dim

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """See :class:`Pooling`."""
        mask = length_mask(lengths, x.shape[1])[:, None].to(x.dtype)
        y = self.first(x.transpose(1, 2), mask)
        outs, total = [], y
        for block in self.blocks:
            # Each block is given the sum of all that came before it (2.2, "multi-layer feature aggregation").
            outs.append(block(total, mask))
            total = total + outs[-1]
        z = self.attention(self.join(torch.cat(outs, 1), mask).relu(), mask)[..., None]
        out: Tensor = self.last(self.norm(z, torch.ones_like(z[:, :1]))[..., 0])
        return out


def _build(dim: int, options: ProbeOptions) -> Pooling:
    width = options.width or (64 if options.small else 1024)
    return ECAPA(dim, width, 64, 2 * width, width // 2) if options.small else ECAPA(dim, width, 192, 1536, 128)


ECAPA_PROBE = Probe(_build, frames=False)
"""ECAPA-TDNN: dilated convolutions and attentive statistics, made for speakers."""

"""ContextNet (Han et al. 2020): depthwise-separable convolutions with squeeze and excite over the whole clip.

The paper subsamples 10 ms frames by 8; the frames of a tokenizer are 20 ms or longer, so here nothing is subsampled.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from .encoder import Encoder
from .frontend import length_mask
from .layers import MaskedBatchNorm, SqueezeExcite, TimeConv
from .options import ProbeOptions
from .probe import Probe

KERNEL = 5


class SeparableConv(nn.Module):
    """Depthwise and pointwise convolution, batch norm; the swish is the block's affair."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.depth = TimeConv(channels, channels, KERNEL, groups=channels)
        self.point, self.norm = nn.Conv1d(channels, out, 1), MaskedBatchNorm(out)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, C, T] -> [B, out, T]."""
        y: Tensor = self.norm(self.point(self.depth(x, mask)), mask)
        return y


class ContextNetBlock(nn.Module):
    """``convs`` convolutions with swish, squeeze and excite (inner size an eighth), projected skip (2.2.3)."""

    def __init__(self, channels: int, out: int, convs: int, skip: bool = True) -> None:
        super().__init__()
        self.convs = nn.ModuleList(SeparableConv(channels if i == 0 else out, out) for i in range(convs))
        self.squeeze = SqueezeExcite(out, max(1, out // 8), nn.SiLU)
        self.skip = nn.Conv1d(channels, out, 1) if skip else None
        self.norm = MaskedBatchNorm(out) if skip else None

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, C, T] -> [B, out, T]."""
        y = x
        for i, conv in enumerate(self.convs):
            y = conv(y, mask)
            if i + 1 < len(self.convs):
                y = nn.functional.silu(y)
        y = self.squeeze(y, mask)
        if self.skip is not None and self.norm is not None:
            y = y + self.norm(self.skip(x), mask)
        return nn.functional.silu(y)


class ContextNet(Encoder):
    """Blocks C0 ... C(n-1), the first and the last of one convolution without skip, as in the paper's table 1.

    Args:
        dim: of a frame.
        width: channels of the first half; the second half has twice as many, the last block 2.5 times.
        blocks: 23 in the paper.
        convs: in each of the others; 5 in the paper.
        dropout: on the result.
    """

    def __init__(self, dim: int, width: int, blocks: int, convs: int, dropout: float = 0.1) -> None:
        super().__init__()
        widths = [width if i <= blocks // 2 else 2 * width for i in range(blocks - 1)]
        layers = [ContextNetBlock(dim, width, 1, skip=False)]
        layers += [ContextNetBlock(a, b, convs) for a, b in pairwise(widths)]
        self.out_dim = width * 5 // 2
        self.blocks = nn.ModuleList([*layers, ContextNetBlock(widths[-1], self.out_dim, 1, skip=False)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """See :class:`Encoder`."""
        mask = length_mask(lengths, x.shape[1])[:, None].to(x.dtype)
        y = x.transpose(1, 2)
        for block in self.blocks:
            y = block(y, mask)
        out: Tensor = self.dropout(y * mask).transpose(1, 2)
        return out


def _build(dim: int, options: ProbeOptions) -> Encoder:
    blocks, convs = (5, 2) if options.small else (23, 5)
    return ContextNet(dim, options.width or (64 if options.small else 256), blocks, convs, options.drop(0.1))


CONTEXTNET = Probe(_build, frames=True)
"""Convolutions that squeeze and excite over the whole clip."""

"""Conformer (Gulati et al. 2020): two half feed-forward layers around self-attention and convolution.

Positions are sines and cosines added at the start (Vaswani et al. 2017), not the paper's relative ones.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from codectok.errors import FormatError

from .encoder import Encoder, sinusoids
from .frontend import length_mask
from .layers import MaskedBatchNorm, TimeConv
from .options import ProbeOptions
from .probe import Probe


class FeedForward(nn.Sequential):
    """LayerNorm, Linear, swish, Linear, with dropout."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        drop = nn.Dropout(dropout)
        super().__init__(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.SiLU(), drop, nn.Linear(hidden, dim), drop)


class ClipAttention(nn.Module):
    """Self-attention over the frames of a clip."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.heads, self.drop = nn.LayerNorm(dim), heads, dropout
        self.all, self.last = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, T, dim], mask bool [B, T] -> [B, T, dim]."""
        q, k, v = self.all(self.norm(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        drop = self.drop if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None], dropout_p=drop)
        out: Tensor = F.dropout(self.last(y.transpose(1, 2).flatten(2)), self.drop, self.training)
        return out


class Convolution(nn.Module):
    """Pointwise with gate, depthwise, batch norm, swish, pointwise."""

    def __init__(self, dim: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.first = nn.LayerNorm(dim), nn.Linear(dim, 2 * dim)
        self.depth, self.batch = TimeConv(dim, dim, kernel, groups=dim), MaskedBatchNorm(dim)
        self.last, self.drop = nn.Linear(dim, dim), nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, T, dim], mask bool [B, T] -> [B, T, dim]."""
        real = mask[:, None].to(x.dtype)
        y = F.glu(self.first(self.norm(x)), 2).transpose(1, 2)
        y = F.silu(self.batch(self.depth(y, real), real)).transpose(1, 2)
        out: Tensor = self.drop(self.last(y))
        return out


class ConformerBlock(nn.Module):
    """One Conformer block (figure 1 of the paper)."""

    def __init__(self, dim: int, heads: int, hidden: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.before, self.after = FeedForward(dim, hidden, dropout), FeedForward(dim, hidden, dropout)
        self.attention, self.convolution = ClipAttention(dim, heads, dropout), Convolution(dim, kernel, dropout)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, T, dim], mask bool [B, T] -> [B, T, dim]."""
        x = x + 0.5 * self.before(x)
        x = x + self.attention(x, mask)
        x = x + self.convolution(x, mask)
        out: Tensor = self.norm(x + 0.5 * self.after(x))
        return out


class Conformer(Encoder):
    """Conformer blocks, [B, T, dim] -> [B, T, dim].

    Args:
        dim: of a frame; ``heads`` divides it, and it is even.
        layers: blocks; DASB's enhancer has 6 with dim 256, 4 heads and 2048 hidden values.
        heads: of attention.
        hidden: size of the feed-forward layers.
        kernel: of the depthwise convolution, odd; 31 as in the paper.
        dropout: everywhere.
    """

    def __init__(self, dim: int, layers: int, heads: int, hidden: int, kernel: int = 31, dropout: float = 0.1) -> None:
        super().__init__()
        if dim % heads or dim % 2:
            raise FormatError(f"a Conformer of size {dim} with {heads} heads: give an even size that the heads divide")
        self.blocks = nn.ModuleList(ConformerBlock(dim, heads, hidden, kernel, dropout) for _ in range(layers))
        self.out_dim = dim

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """See :class:`Encoder`."""
        mask = length_mask(lengths, x.shape[1])
        y = x + sinusoids(x.shape[1], x.shape[2], x.device)
        for block in self.blocks:
            y = block(y, mask)
        return y * mask[..., None]


def _build(dim: int, options: ProbeOptions) -> Encoder:
    small = options.small
    hidden = options.width or (2 * dim if small else 2048)
    return Conformer(dim, 2 if small else 6, 4, hidden, 15 if small else 31, options.drop(0.1))


CONFORMER = Probe(_build, frames=True, dim=256)
"""Self-attention and convolutions in turn."""

"""Frames to one vector a clip."""

from __future__ import annotations

from torch import Tensor, nn

from .encoder import Encoder
from .frontend import length_mask
from .layers import pooled


class Pooling(nn.Module):
    """Frames [B, T, dim] to a vector a clip [B, out_dim]; padding changes nothing.

    Attributes:
        out_dim: size of the vector.
    """

    out_dim: int

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Frames [B, T, dim] and their numbers [B] -> [B, out_dim]."""
        raise NotImplementedError


class Statistics(Pooling):
    """Mean and standard deviation of an encoder's frames (Snyder et al. 2017): 2 x its size, or a map of it.

    Args:
        encoder: that the frames go through first.
        out_dim: size of the vector; 0 keeps the statistics themselves.
    """

    def __init__(self, encoder: Encoder, out_dim: int = 0) -> None:
        super().__init__()
        self.encoder = encoder
        self.last = nn.Linear(2 * encoder.out_dim, out_dim) if out_dim else None
        self.out_dim = out_dim or 2 * encoder.out_dim

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """See :class:`Pooling`."""
        mask = length_mask(lengths, x.shape[1])[:, None].to(x.dtype)
        both = pooled(self.encoder(x, lengths).transpose(1, 2), mask)
        return both if self.last is None else self.last(both)

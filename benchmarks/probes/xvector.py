"""X-vector (Snyder et al. 2018): a time-delay network over frames, statistics pooling, the first layer after it."""

from __future__ import annotations

from torch import Tensor, nn

from .frontend import length_mask
from .layers import ConvNorm, pooled
from .options import ProbeOptions
from .pooling import Pooling
from .probe import Probe


class XVector(Pooling):
    """Frames to one vector a clip; table 1 of the paper, but for zeros beyond the ends where the paper drops frames.

    Args:
        dim: of a frame.
        width: channels; 512 in the paper.
        out_dim: of the vector ("segment6"); 512 in the paper.
        wide: channels that are pooled; 1500 in the paper.
    """

    def __init__(self, dim: int, width: int, out_dim: int, wide: int) -> None:
        super().__init__()
        shapes = [(dim, width, 5, 1), (width, width, 3, 2), (width, width, 3, 3), (width, width, 1, 1)]
        self.layers = nn.ModuleList(ConvNorm(*shape) for shape in [*shapes, (width, wide, 1, 1)])
        self.last, self.out_dim = nn.Linear(2 * wide, out_dim), out_dim

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """See :class:`Pooling`."""
        mask = length_mask(lengths, x.shape[1])[:, None].to(x.dtype)
        y = x.transpose(1, 2)
        for layer in self.layers:
            y = layer(y, mask)
        out: Tensor = self.last(pooled(y, mask))
        return out


def _build(dim: int, options: ProbeOptions) -> Pooling:
    width = options.width or (64 if options.small else 512)
    return XVector(dim, width, 64, 3 * width) if options.small else XVector(dim, width, 512, 1500)


XVECTOR = Probe(_build, frames=False)
"""X-vector: dilated convolutions and statistics over time."""

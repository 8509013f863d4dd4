"""Triangular filters on the mel scale (O'Shaughnessy 1987, as in HTK)."""

from __future__ import annotations

import torch
from torch import Tensor


def mel_filters(bands: int, bins: int, sample_rate: int) -> Tensor:
    """Filters of peak 1, float32 [bins, bands], over ``bins`` frequencies from 0 to half the sample rate."""

    def to_mel(hertz: Tensor) -> Tensor:
        return 2595.0 * torch.log10(1.0 + hertz / 700.0)

    at = to_mel(torch.linspace(0, sample_rate / 2, bins))
    edges = torch.linspace(0, float(to_mel(torch.tensor(sample_rate / 2.0))), bands + 2)
    rising = (at[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - at[:, None]) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp_min(0)

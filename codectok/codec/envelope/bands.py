"""Bands of equal width on the ERB scale, as the ear resolves them, over the bins of an MDCT.

ERB-rate after Glasberg & Moore 1990: 21.4 log10(1 + 0.00437 f).
"""

from __future__ import annotations

import torch
from torch import Tensor

LOWEST, HIGHEST = 60.0, 0.49375
"""Hz of the first band's centre, and the last one's as a share of the sample rate."""


def erb(hertz: Tensor) -> Tensor:
    """ERB-rate, in ERBs from 0 Hz on."""
    return 21.4 * torch.log10(1 + 0.00437 * hertz)


def erb_filters(bands: int, bins: int, sample_rate: int) -> tuple[Tensor, Tensor]:
    """Triangles between neighbouring centres: float32 [bins, bands] each.

    Returns:
        pool: columns sum to 1: power of bins -> mean power of bands.
        spread: rows sum to 1: log gain of bands -> log gain of bins, by linear interpolation on the ERB scale.
    """

    at = erb((torch.arange(bins, dtype=torch.float64) + 0.5) * sample_rate / (2 * bins))
    ends = erb(torch.tensor([LOWEST, HIGHEST * sample_rate], dtype=torch.float64))
    centres = torch.linspace(float(ends[0]), float(ends[1]), bands, dtype=torch.float64)
    # Beyond the outer centres the outer bands go on flat.
    at = at.clamp(float(centres[0]), float(centres[-1]))
    triangles = (1 - (at[:, None] - centres).abs() / (centres[1] - centres[0])).clamp_min(0)
    narrow = (triangles.sum(0) == 0).nonzero().flatten()  # between two bins: the nearest one, a little
    triangles[(at[:, None] - centres[narrow]).abs().argmin(0), narrow] = 1e-3
    return (triangles / triangles.sum(0)).float(), (triangles / triangles.sum(1, keepdim=True)).float()

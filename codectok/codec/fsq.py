"""Finite scalar quantization (Mentzer et al. 2023): each of a few dimensions rounded to a few values, no codebook.

Several codebooks refine one another: what rounding left over lies in a cell of width 1, which the next codebook divides
into as many equal cells as it has values, as the next digit of a number would.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from codectok.codec.quantizer import Quantized, Quantizer, Use, straight_through
from codectok.errors import FormatError

EPS = 1e-3
"""The outermost values are reached a little before the bound of tanh (the paper's appendix A)."""


class FiniteScalarVQ(Quantizer):
    """Quantizer with an implied codebook: the product of ``levels`` values a dimension.

    There is nothing to learn but the projections: both losses are 0, and ``update_decay``, ``fit`` and ``revive`` do
    nothing. Straight-through holds between the projections, from the bounded latent on.

    Args:
        dim: width D of the vectors; they are projected to ``len(levels)`` unless as wide.
        levels: values of each dimension, each at least 2; [8, 5, 5, 5] gives 1000 codes.
        num_codebooks: how many codebooks refine one another.
    """

    radix: Tensor
    places: Tensor

    def __init__(self, dim: int, levels: list[int], num_codebooks: int = 1) -> None:
        super().__init__()
        if not levels or min(levels) < 2 or num_codebooks < 1:
            raise FormatError(f"levels {levels}, {num_codebooks} codebooks: 2 values or more a dimension, 1 codebook")
        self.codebook_sizes = (math.prod(levels),) * num_codebooks
        same = dim == len(levels)
        self.input = nn.Identity() if same else nn.Linear(dim, len(levels))
        self.output = nn.Identity() if same else nn.Linear(len(levels), dim)
        places = [math.prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("radix", torch.tensor(levels), persistent=False)
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def bound(self, y: Tensor) -> Tensor:
        """Squash [..., d] so that rounding gives ``levels`` integers in each dimension."""
        half = (self.radix - 1) * (1 + EPS) / 2
        offset = torch.where(self.radix % 2 == 0, 0.5, 0.0)
        return torch.tanh(y + torch.atanh(offset / half)) * half - offset

    def digits(self, bounded: Tensor, count: int) -> Tensor:
        """Bounded [B, T, d] -> int64 [B, K, T, d], the value chosen of each dimension by each codebook."""
        rounded = bounded.round()
        out, rest = [rounded + self.radix // 2], bounded - rounded
        for _ in range(1, count):
            cells = (rest + 0.5) * self.radix
            digit = torch.minimum(cells.floor(), self.radix - 1)
            rest = cells - digit - 0.5
            out.append(digit)
        return torch.stack(out, 1).long()

    def values(self, digits: Tensor) -> Tensor:
        """int64 [B, K, T, d] -> what each codebook adds in bounded space, float32 [B, K, T, d]."""
        steps = self.radix.pow(torch.arange(digits.shape[1], device=digits.device)[:, None]).float()
        finer = ((digits + 0.5) / self.radix - 0.5) * self.radix / steps[:, None]
        coarse = (digits[:, :1] - self.radix // 2).float()
        return torch.cat([coarse, finer[:, 1:]], 1)

    def _split(self, codes: Tensor) -> Tensor:
        """int64 [B, K, T] -> digits [B, K, T, d]."""
        return codes.unsqueeze(-1) // self.places % self.radix

    def _scaled(self, bounded: Tensor) -> Tensor:
        """From bounded space to about [-1, 1]."""
        return bounded / (self.radix // 2)

    def _encode(self, z: Tensor, count: int) -> Tensor:
        return (self.digits(self.bound(self.input(z)), count) * self.places).sum(-1)

    def _decode(self, codes: Tensor) -> Tensor:
        return self.output(self._scaled(self.values(self._split(codes)).sum(1)))

    @torch.no_grad()
    def distances(self, latent: Tensor, codes: Tensor, level: int) -> Tensor:
        """Squared distances of one bounded latent to all values of ``level`` on top of the codes before."""
        size = self.codebook_sizes[level]
        grid = torch.cat([codes[:level, None].expand(-1, size), torch.arange(size, device=codes.device)[None]])
        values = self.values(self._split(grid[None])).double().sum(1)[0]
        return (self.bound(self.input(latent)).double() - values).square().sum(1)

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        count = len(self.codebook_sizes)
        bounded = self.bound(self.input(z))
        digits = self.digits(bounded.detach(), count)
        total = torch.where(use.levels.transpose(0, 1).unsqueeze(-1), self.values(digits), 0.0).sum(1)
        quantized = self.output(self._scaled(straight_through(total, bounded)))
        codes = (digits * self.places).sum(-1)
        return Quantized(torch.where(use.any, quantized, 0.0), codes, z.new_zeros(count))

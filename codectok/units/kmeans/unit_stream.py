"""k-means units: each frame's nearest centroid and, level after level, that of what is left over.

One level is the unit of HuBERT and GSLM (Hsu et al. 2021; Lakhotia et al. 2021); several are residual vector
quantization over the features. The search is one matrix product: of all centroids c, the nearest to x has the largest
``x . c - |c|^2 / 2``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from codectok.errors import CodectokError
from codectok.units.kmeans.stream import BLOCK, BLOCK_GPU, Stream, check_standardisation, stored


class Level(NamedTuple):
    """One level's centroids, folded for the search. The standardisation is in the tables, not done to the features."""

    vectors: Tensor
    """[k, D] in the features' own units."""
    centre: Tensor
    """[D], their mean: products of features far from zero would lose the digits that decide between close codes."""
    table: Tensor
    """[D, k], centred."""
    half_norms: Tensor
    """[k], minus half the squared norms."""


class UnitStream(Stream):
    """k-means centroids of one layer's features; K codebooks where there are residual levels.

    Distances are Euclidean, of standardised features where ``mean`` and ``scale`` are given; of equally near
    centroids the first is taken. ``vectors`` of codes is the sum of their centroids, standardisation undone.

    Args:
        layer_index: which of the encoder's layers it reads, counted in the order that the encoder was opened with.
        centroids: float [k, D] of each level, in standardised units if there are any.
        mean: float [D], subtracted from the features first; None for 0.
        scale: float [D], above 0, that they are divided by then; None for 1.

    Raises:
        CodectokError: shapes that do not fit together, or values that are not finite.
    """

    kind = "kmeans"

    def __init__(
        self, layer_index: int, centroids: Sequence[Tensor], mean: Tensor | None = None, scale: Tensor | None = None
    ) -> None:
        shapes = [list(c.shape) for c in centroids]
        if not shapes or any(len(s) != 2 or 0 in s or s[1] != shapes[0][1] for s in shapes):
            raise CodectokError(f"centroids of shapes {shapes}: give [k, D] of one width D for each level")
        self.layer_index = layer_index
        self.dim = shapes[0][1]
        self.sizes = tuple(s[0] for s in shapes)
        self.centroids = [stored(c) for c in centroids]
        self.mean, self.scale = (None if t is None else stored(t) for t in (mean, scale))
        check_standardisation(self.dim, self.mean, self.scale)
        if not all(bool(c.isfinite().all()) for c in self.centroids):
            raise CodectokError("centroids have NaN or infinite values: fit them again, on finite features")
        self._levels = [self._fold(c, first=i == 0) for i, c in enumerate(self.centroids)]

    def _fold(self, centroids: Tensor, first: bool) -> Level:
        c = centroids.double()
        scale = c.new_ones(self.dim) if self.scale is None else self.scale.double()
        mean = self.mean.double() if first and self.mean is not None else c.new_zeros(self.dim)
        middle = c.mean(0)
        parts = (c * scale + mean, middle * scale + mean, ((c - middle) / scale).T, -0.5 * (c - middle).square().sum(1))
        return Level(*(t.float().contiguous() for t in parts))

    def _encode(self, features: Tensor, count: int) -> tuple[Tensor, Tensor]:
        block = min(len(features), BLOCK if self.device.type == "cpu" else BLOCK_GPU)
        codes = torch.empty(count, len(features), dtype=torch.int64, device=self.device)
        best = torch.zeros(len(features), device=self.device)
        # One pair of buffers for all blocks: fresh memory for each would cost a page fault for every 4 kB.
        centred = torch.empty(block, self.dim, device=self.device)
        scores = torch.empty(block * max(self.sizes[:count]), device=self.device)
        for at in range(0, len(features), max(1, block)):
            here = slice(at, at + block)
            rest = features[here].to(self.device, torch.float32)
            for k, level in enumerate(self._levels[:count]):
                if k:
                    rest = rest - self._levels[k - 1].vectors[codes[k - 1, here]]
                x = torch.sub(rest, level.centre, out=centred[: len(rest)])
                found = scores[: len(rest) * self.sizes[k]].view(len(rest), -1)
                torch.addmm(level.half_norms, x, level.table, out=found)
                torch.max(found, 1, out=(best[here], codes[k, here]))
        return codes, best

    def _vectors(self, codes: Tensor) -> Tensor:
        parts = [F.embedding(row, level.vectors) for row, level in zip(codes, self._levels, strict=False)]
        return torch.stack(parts).sum(0)

    def to(self, device: str | torch.device) -> UnitStream:
        """Search on ``device`` from now on."""
        self.device = torch.device(device)
        self._levels = [Level(*(t.to(self.device) for t in level)) for level in self._levels]
        return self

    def tensors(self) -> dict[str, Tensor]:
        """``centroids.0``, ... of the levels and, where there are any, ``mean`` and ``scale``."""
        found = {f"centroids.{k}": c for k, c in enumerate(self.centroids)}
        return found | {n: t for n, t in (("mean", self.mean), ("scale", self.scale)) if t is not None}

    @classmethod
    def build(cls, layer_index: int, sizes: Sequence[int], tensors: Mapping[str, Tensor]) -> UnitStream:
        """From what ``config`` and ``tensors`` gave."""
        centroids = [tensors[f"centroids.{k}"] for k in range(len(sizes))]
        return cls(layer_index, centroids, tensors.get("mean"), tensors.get("scale"))

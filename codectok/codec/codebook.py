"""One codebook learned by exponential moving averages (VQ-VAE, van den Oord et al. 2017, appendix A.1), and k-means."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from codectok.codec.beam import error_weights
from codectok.codec.ranks import sum_over_ranks
from codectok.errors import CodectokError

LEAST_COUNT = 1e-6
"""Moving count under which a code keeps its vector: what is left of sum and count says nothing any more."""


class Codebook(nn.Module):
    """``size`` vectors of width ``dim``, stored as float32 [size, dim] and kept in float32 whatever the autocast."""

    vectors: Tensor
    sums: Tensor
    counts: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        vectors = torch.randn(size, dim) * dim**-0.5
        self.register_buffer("vectors", vectors)
        # Training state: moving sum and count of the frames assigned to each code. Not part of a released model.
        self.register_buffer("sums", vectors.clone(), persistent=False)
        self.register_buffer("counts", torch.ones(size), persistent=False)
        self._folded: tuple[tuple[int, int], tuple[Tensor, Tensor, Tensor]] | None = None
        self._weights: tuple[tuple[int, int], Tensor] | None = None

    def search(self, x: Tensor) -> Tensor:
        """Nearest code of each frame, [N, D] -> int64 [N]; the first of equals."""
        centre, table, half_norms = self._tables()
        return torch.addmm(half_norms, x - centre, table).argmax(1)

    def _tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """What ``search`` multiplies with, kept until the vectors change.

        Centred: latents far from zero would otherwise lose the digits that decide between close codes.
        """
        self._thaw()
        key = (self.vectors._version, self.vectors.data_ptr())
        if self._folded is None or self._folded[0] != key:
            self._folded = (key, self._fold())
        return self._folded[1]

    def error_weights(self) -> Tensor:
        """What a beam search multiplies with (:func:`codectok.codec.beam.error_weights`), kept in the same way."""
        self._thaw()
        key = (self.vectors._version, self.vectors.data_ptr())
        if self._weights is None or self._weights[0] != key:
            self._weights = (key, error_weights(self.vectors))
        return self._weights[1]

    def _thaw(self) -> None:
        """Replace tensors made under torch.inference_mode(), which do not count their changes and so hide them.

        A copy made outside of it counts them, even those made inside.
        """
        with torch.inference_mode(False):
            for name in ("vectors", "sums", "counts"):
                tensor = getattr(self, name)
                if tensor.is_inference():
                    setattr(self, name, tensor.clone())

    def _fold(self) -> tuple[Tensor, Tensor, Tensor]:
        centre = self.vectors.mean(0)
        table = self.vectors - centre
        return centre, table.T.contiguous(), -0.5 * table.square().sum(1)

    @torch.no_grad()
    def statistics(self, x: Tensor, codes: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Count [size] and sum [size, D] of the frames [N, D] that chose each code [N], where ``rows`` [N] is true."""
        counts = torch.zeros_like(self.counts).index_add_(0, codes, rows.to(self.counts.dtype))
        sums = torch.zeros_like(self.sums).index_add_(0, codes, torch.where(rows[:, None], x, 0.0))
        return counts, sums

    @torch.no_grad()
    def move(self, counts: Tensor, sums: Tensor, decay: float) -> None:
        """Take a step of the moving averages towards the statistics of a batch."""
        self.counts.mul_(decay).add_(counts, alpha=1 - decay)
        self.sums.mul_(decay).add_(sums, alpha=1 - decay)
        self._refresh()

    @torch.no_grad()
    def update(self, x: Tensor, codes: Tensor, decay: float) -> None:
        """Move towards the frames [N, D] of all ranks that chose each code [N]."""
        rows = torch.ones_like(codes, dtype=torch.bool)
        counts, sums = sum_over_ranks(self.statistics(x, codes, rows))
        self.move(counts, sums, decay)

    @torch.no_grad()
    def revive(self, x: Tensor, threshold: float, generator: torch.Generator | None = None) -> int:
        """Move codes used less than ``threshold`` of uniform onto random frames of ``x`` [N, D]; returns how many.

        Sum and count are reset together: a revived vector that only ``vectors`` knew of would be overwritten from the
        stale sums at the next update.
        """
        uniform = self.counts.mean()
        dead = (self.counts < threshold * uniform).nonzero().flatten()
        if len(dead) == 0 or len(x) == 0:
            return 0
        self.counts[dead] = uniform
        self.sums[dead] = x[draw(len(x), len(dead), generator).to(x.device)] * uniform
        self._refresh()
        return len(dead)

    @torch.no_grad()
    def set_vectors(self, vectors: Tensor, counts: Tensor) -> None:
        """Start from given vectors [size, dim] and usage counts [size] (k-means)."""
        self.counts.copy_(counts.clamp_min(1e-3 * counts.mean()))
        self.sums.copy_(vectors * self.counts[:, None])
        self._refresh()

    def _refresh(self) -> None:
        counts = self.counts[:, None]
        self.vectors.copy_(torch.where(counts > LEAST_COUNT, self.sums / counts, self.vectors))

    @torch.no_grad()
    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        if prefix + "vectors" in state_dict:
            # Otherwise the first update would bring back what the codebook was before.
            self._thaw()
            self.sums.copy_(self.vectors * self.counts[:, None])


def draw(population: int, count: int, generator: torch.Generator | None) -> Tensor:
    """Random indices int64 [count], all different while there are enough. On the CPU, where the generator is."""
    if count <= population:
        return torch.randperm(population, generator=generator)[:count]
    return torch.randint(population, (count,), generator=generator)


def kmeans(x: Tensor, size: int, iterations: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from random frames: vectors [size, D] and counts [size]. Empty clusters restart on frames.

    Raises:
        CodectokError: fewer frames than codes.
    """
    if len(x) < size:
        raise CodectokError(f"k-means for {size} codes needs at least {size} frames, got {len(x)}: gather more batches")
    vectors = x[draw(len(x), size, generator).to(x.device)].clone()
    counts = x.new_ones(size)
    for _ in range(iterations):
        index = nearest(x, vectors)
        counts = x.new_zeros(size).index_add_(0, index, x.new_ones(len(x)))
        sums = torch.zeros_like(vectors).index_add_(0, index, x)
        vectors = sums / counts.clamp_min(1)[:, None]
        empty = (counts == 0).nonzero().flatten()
        vectors[empty] = x[draw(len(x), len(empty), generator).to(x.device)]
    return vectors, counts


def nearest(x: Tensor, vectors: Tensor) -> Tensor:
    """Index int64 [N] of the vector [size, D] nearest to each frame [N, D]."""
    table, half_norms = vectors.T.contiguous(), -0.5 * vectors.square().sum(1)
    # In parts that stay in a CPU's cache: half the time of one product of all frames.
    parts = x.split(1024 if x.device.type == "cpu" else 1 << 16)
    return torch.cat([torch.addmm(half_norms, part, table).argmax(1) for part in parts])

"""Residual vector quantization with codebooks learned by exponential moving averages.

Sources: RVQ and quantizer dropout, SoundStream (Zeghidour et al. 2021, sections III-C and III-D); EMA codebooks,
VQ-VAE (van den Oord et al. 2017, appendix A.1); revival by share of uniform usage, Moshi (Defossez et al. 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.codec.layers import Layers
from codectok.errors import CodeRangeError


@dataclass
class Quantized:
    """What a quantizer's training pass returns."""

    quantized: Tensor
    """[B, T, D], straight-through: its gradient with respect to the input is 1."""
    codes: Tensor
    """int64 [B, K, T]; -1 at levels that quantizer dropout left out for that item."""
    commitment: Tensor
    """[K], mean squared distance of each level's residual to its (detached) code vector, over the items using it,
    relative to the latents' variance: without that the encoder lowers it by shrinking, which gains nothing."""


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

    def search(self, x: Tensor) -> Tensor:
        """Nearest code of each frame, [N, D] -> int64 [N]; the first of equals."""
        centre, table, half_norms = self._tables()
        return torch.addmm(half_norms, x - centre, table).argmax(1)

    def _tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """What ``search`` multiplies with, kept until the vectors change.

        Centred: latents far from zero would otherwise lose the digits that decide between close codes.
        """
        if self.vectors.is_inference():  # made under torch.inference_mode(), where nothing tells of a change
            return self._fold()
        key = (self.vectors._version, self.vectors.data_ptr())
        if self._folded is None or self._folded[0] != key:
            self._folded = (key, self._fold())
        return self._folded[1]

    def _fold(self) -> tuple[Tensor, Tensor, Tensor]:
        centre = self.vectors.mean(0)
        table = self.vectors - centre
        return centre, table.T.contiguous(), -0.5 * table.square().sum(1)

    @torch.no_grad()
    def update(self, x: Tensor, codes: Tensor, decay: float) -> None:
        """Move the codebook towards the frames [N, D] that chose each code [N] (moving averages of sum and count)."""
        counts = torch.zeros_like(self.counts).index_add_(0, codes, torch.ones_like(codes, dtype=self.counts.dtype))
        sums = torch.zeros_like(self.sums).index_add_(0, codes, x)
        self.counts.mul_(decay).add_(counts, alpha=1 - decay)
        self.sums.mul_(decay).add_(sums, alpha=1 - decay)
        self._refresh()

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
        # Drawn on the CPU, where the generator is, whatever the device of the frames.
        chosen = torch.randint(len(x), (len(dead),), generator=generator).to(x.device)
        self.counts[dead] = uniform
        self.sums[dead] = x[chosen] * uniform
        self._refresh()
        return len(dead)

    @torch.no_grad()
    def set_vectors(self, vectors: Tensor, counts: Tensor) -> None:
        """Start from given vectors [size, dim] and usage counts [size] (k-means)."""
        self.counts.copy_(counts.clamp_min(1e-3 * counts.mean()))
        self.sums.copy_(vectors * self.counts[:, None])
        self._refresh()

    def _refresh(self) -> None:
        self.vectors.copy_(self.sums / self.counts.clamp_min(1e-6)[:, None])


class ResidualVQ(nn.Module):
    """Codebooks applied one after another, each to what the ones before left over.

    Args:
        dim: width D of the vectors.
        codebook_sizes: number of codes of each level.
    """

    def __init__(self, dim: int, codebook_sizes: list[int]) -> None:
        super().__init__()
        self.codebook_sizes = tuple(codebook_sizes)
        self.levels = Layers(Codebook(size, dim) for size in codebook_sizes)

    def encode(self, z: Tensor, num_codebooks: int | None = None) -> Tensor:
        """[B, T, D] -> int64 [B, K, T]."""
        residual = z.flatten(0, 1).float()
        codes = []
        for level in self.levels[:num_codebooks]:
            index = level.search(residual)
            residual = residual - level.vectors[index]
            codes.append(index.view(z.shape[:2]))
        return torch.stack(codes, 1)

    def decode(self, codes: Tensor) -> Tensor:
        """int64 [B, K, T] -> float32 [B, T, D]; any K up to the number of levels."""
        if codes.shape[1] > len(self.levels):
            raise CodeRangeError(f"{codes.shape[1]} codebooks given, this quantizer has {len(self.levels)}")
        total: Tensor | None = None
        for level, index in zip(self.levels, codes.unbind(1), strict=False):
            term = F.embedding(index, level.vectors)
            total = term if total is None else total + term
        assert total is not None
        return total

    @torch.no_grad()
    def distances(self, latent: Tensor, codes: Tensor, level: int) -> Tensor:
        """Squared distances of one latent [D] to every code of ``level``, after the codes [K] of the levels before.

        What a choice between two codes was decided by: shows whether two differing codes were a tie.
        """
        residual = latent.double()
        for k in range(level):
            residual = residual - self.levels[k].vectors[codes[k]]
        return (residual - self.levels[level].vectors).square().sum(1)

    def forward(self, z: Tensor, depths: Tensor | None = None, update_decay: float | None = None) -> Quantized:
        """Quantize for training.

        Args:
            z: [B, T, D].
            depths: int64 [B], levels to use for each item (quantizer dropout); None for all.
            update_decay: decay of the moving averages; None leaves the codebooks as they are. Explicit, not tied to
                ``training``, so that a second pass over the same batch never updates twice.
        """
        with torch.autocast(z.device.type, enabled=False):
            return self._forward(z.float(), depths, update_decay)

    def _forward(self, z: Tensor, depths: Tensor | None, update_decay: float | None) -> Quantized:
        batch, frames, dim = z.shape
        residual = z
        variance = z.detach().var((0, 1)).mean().clamp_min(1e-8)
        total = torch.zeros_like(z)
        codes, commitment = [], []
        for k, level in enumerate(self.levels):
            used = torch.ones(batch, dtype=torch.bool, device=z.device) if depths is None else depths > k
            flat = residual.detach().reshape(-1, dim)
            index = level.search(flat)
            vectors = level.vectors[index].view_as(z)
            if update_decay is not None:
                rows = used.repeat_interleave(frames)
                level.update(flat[rows], index[rows], update_decay)
            error = (residual - vectors).square().mean((1, 2)) / variance
            commitment.append((error * used).sum() / used.sum().clamp_min(1))
            mask = used[:, None, None]
            # Detached, so that each level's commitment pulls the encoder; the one straight-through step is at the end.
            total = total + torch.where(mask, vectors, 0.0)
            residual = torch.where(mask, residual - vectors, residual)
            codes.append(torch.where(used[:, None], index.view(batch, frames), -1))
        return Quantized(z + (total - z).detach(), torch.stack(codes, 1), torch.stack(commitment))

    @torch.no_grad()
    def fit(self, x: Tensor, iterations: int = 10, seed: int = 0) -> None:
        """Start every codebook by k-means on real frames ``x`` [N, D], level after level on what is left over."""
        generator = torch.Generator().manual_seed(seed)
        residual = x.float()
        for level in self.levels:
            vectors, counts = kmeans(residual, len(level.counts), iterations, generator)
            level.set_vectors(vectors, counts)
            residual = residual - level.vectors[level.search(residual)]

    @torch.no_grad()
    def revive(self, z: Tensor, threshold: float = 0.1, generator: torch.Generator | None = None) -> list[int]:
        """Revive dead codes of every level from the residuals of a batch [B, T, D]; returns how many a level."""
        residual = z.flatten(0, 1).float()
        revived = []
        for level in self.levels:
            index = level.search(residual)
            left = residual - level.vectors[index]
            revived.append(level.revive(residual, threshold, generator))
            residual = left
        return revived


def kmeans(x: Tensor, size: int, iterations: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from random frames: vectors [size, D] and counts [size]. Empty clusters restart on frames."""
    if len(x) < size:
        raise ValueError(f"k-means for {size} codes needs at least {size} frames, got {len(x)}: gather more batches")
    vectors = x[torch.randperm(len(x), generator=generator)[:size].to(x.device)].clone()
    counts = x.new_zeros(size)
    for _ in range(iterations):
        index = torch.addmm(-0.5 * vectors.square().sum(1), x, vectors.T).argmax(1)
        counts = x.new_zeros(size).index_add_(0, index, x.new_ones(len(x)))
        sums = torch.zeros_like(vectors).index_add_(0, index, x)
        vectors = sums / counts.clamp_min(1)[:, None]
        empty = (counts == 0).nonzero().flatten()
        vectors[empty] = x[torch.randint(len(x), (len(empty),), generator=generator).to(x.device)]
    return vectors, counts

"""Residual vector quantization with codebooks learned by exponential moving averages.

Sources: RVQ and quantizer dropout, SoundStream (Zeghidour et al. 2021, sections III-C and III-D); EMA codebooks,
VQ-VAE (van den Oord et al. 2017, appendix A.1); revival by share of uniform usage, Moshi (Defossez et al. 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from codectok.codec.beam import GREEDY, Beam, beam_search, paths_of
from codectok.codec.codebook import Codebook, kmeans
from codectok.codec.layers import Layers
from codectok.codec.quantizer import Quantized, Quantizer, Use, straight_through
from codectok.codec.ranks import stack_over_ranks, sum_over_ranks

__all__ = ["Codebook", "Quantized", "ResidualVQ", "kmeans"]


@dataclass
class Pass:
    """What one way down the levels leaves to be joined with other ranks' before it means anything."""

    quantized: Tensor
    """[B, T, D], straight-through."""
    codes: Tensor
    """int64 [B, K, T]."""
    sums: Tensor
    """[2K + 1 + 2D]: errors and frames of each level; number, mean and squared deviations of the latents."""
    statistics: list[tuple[Codebook, Tensor, Tensor]]
    """Each level's codebook, and the counts and sums that it is to move towards; empty without an update."""


class ResidualVQ(Quantizer):
    """Codebooks applied one after another, each to what the ones before left over.

    ``commitment`` is the mean squared distance of each level's residual to its (detached) code vector, relative to the
    latents' variance: without that the encoder lowers it by shrinking, which gains nothing. The gradient of
    ``quantized`` with respect to the input is 1.

    Args:
        dim: width D of the vectors.
        codebook_sizes: number of codes of each level.
        search: ``greedy``, or ``beam-N``, which keeps N ways down at a time (:mod:`codectok.codec.beam`). A beam always
            runs over all levels, so that fewer codebooks are still the first of all.

    Raises:
        FormatError: another search.
    """

    tracks_usage = True

    def __init__(self, dim: int, codebook_sizes: list[int], search: str = GREEDY) -> None:
        super().__init__()
        self.codebook_sizes = tuple(codebook_sizes)
        self.paths = paths_of(search)
        self.levels = Layers(Codebook(size, dim) for size in codebook_sizes)

    def _encode(self, z: Tensor, count: int) -> Tensor:
        residual = z.flatten(0, 1)
        if self.paths > 1:
            return self._beam(residual).codes[:, 0, :count].view(*z.shape[:2], count).transpose(1, 2).contiguous()
        codes = []
        for level in self.levels[:count]:
            index = level.search(residual)
            residual = residual - level.vectors[index]
            codes.append(index.view(z.shape[:2]))
        return torch.stack(codes, 1)

    def _beam(self, rows: Tensor) -> Beam:
        weights = [level.error_weights() for level in self.levels]
        return beam_search(rows, [level.vectors for level in self.levels], self.paths, weights)

    def _decode(self, codes: Tensor) -> Tensor:
        total: Tensor | None = None
        for level, index in zip(self.levels, codes.unbind(1), strict=False):
            term = F.embedding(index, level.vectors)
            total = term if total is None else total + term
        assert total is not None
        return total

    @torch.no_grad()
    def distances(self, latent: Tensor, codes: Tensor, level: int) -> Tensor:
        """Squared distances of what is left of one latent [D] to every code of ``level``.

        With a beam, of the whole sums that it kept to the end; infinite for codes that none of those has.
        """
        if self.paths > 1:
            return self._beam_distances(latent, codes, level)
        residual = latent.double()
        for k in range(level):
            residual = residual - self.levels[k].vectors[codes[k]]
        return (residual - self.levels[level].vectors).square().sum(1)

    def _beam_distances(self, latent: Tensor, codes: Tensor, level: int) -> Tensor:
        kept = self._beam(latent[None])
        distances = latent.new_full((self.codebook_sizes[level],), torch.inf)
        for path, error in zip(kept.codes[0], kept.errors[0], strict=True):
            if torch.equal(path[:level], codes[:level]):
                distances[path[level]] = torch.minimum(distances[path[level]], error)
        return distances

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        way = self.trace(z, use, decay is not None)
        (commitment,) = finish([way], decay, self._shared(decay))
        return Quantized(way.quantized, way.codes, commitment)

    def trace(self, z: Tensor, use: Use, learn: bool) -> Pass:
        """Go down the levels; changes nothing and asks no other rank."""
        residual, total = z, torch.zeros_like(z)
        codes, errors, statistics = [], [], []
        chosen = (
            self._beam(z.detach().flatten(0, 1)).codes[:, 0].unbind(1) if self.paths > 1 else [None] * len(self.levels)
        )
        for level, on, found in zip(self.levels, use.levels, chosen, strict=True):
            flat = residual.detach().flatten(0, 1)
            index = level.search(flat) if found is None else found
            vectors = level.vectors[index].view_as(z)
            if learn:
                statistics.append((level, *level.statistics(flat, index, on.flatten())))
            # Detached vectors, so that each level's commitment pulls the encoder; the one straight-through step is
            # at the end.
            errors.append(torch.where(on, (residual - vectors).square().mean(2), 0.0).sum())
            total = torch.where(on[:, :, None], total + vectors, total)
            residual = torch.where(on[:, :, None], residual - vectors, residual)
            codes.append(index.view(z.shape[:2]))
        quantized = torch.where(use.any, straight_through(total, z), 0.0)
        frames = use.levels.sum((1, 2)).to(z.dtype)
        sums = torch.cat([torch.stack(errors), frames, moments(z.detach(), use.valid)])
        return Pass(quantized, torch.stack(codes, 1), sums, statistics)

    def _fit(self, x: Tensor, iterations: int, generator: torch.Generator) -> None:
        for level in self.levels:
            level.set_vectors(*kmeans(x, len(level.counts), iterations, generator))
            x = x - level.vectors[level.search(x)]

    def _revive(self, x: Tensor, threshold: float, generator: torch.Generator | None) -> list[int]:
        revived = []
        for level in self.levels:
            left = x - level.vectors[level.search(x)]
            revived.append(level.revive(x, threshold, generator))
            x = left
        return revived


def finish(ways: Sequence[Pass], decay: float | None, shared: bool) -> list[Tensor]:
    """Commitment [K] of each pass, over the joined batch of all ranks, and the codebooks' step.

    One collective carries the sums of all passes and one the statistics of all levels.
    """
    sums = torch.cat([way.sums for way in ways])
    rows = stack_over_ranks(sums) if shared else sums[None]
    commitments = []
    for way, part in zip(ways, rows.split([len(way.sums) for way in ways], 1), strict=True):
        levels = way.codes.shape[1]
        errors, frames, rest = part[:, :levels].sum(0), part[:, levels : 2 * levels].sum(0), part[:, 2 * levels :]
        commitments.append(errors / frames.clamp_min(1) / variance(rest.detach()).clamp_min(1e-8))
    if decay is not None:
        found = [s for way in ways for s in way.statistics]
        joined = sum_over_ranks([t for _, counts, sums in found for t in (counts, sums)])
        for i, (level, _, _) in enumerate(found):
            level.move(joined[2 * i], joined[2 * i + 1], decay)
    return commitments


def moments(z: Tensor, valid: Tensor) -> Tensor:
    """Number of valid frames, and mean and sum of squared deviations of each dimension, of [B, T, D]: [1 + 2D]."""
    on = valid.unsqueeze(2)
    number = on.sum().to(z.dtype)
    mean = torch.where(on, z, 0.0).sum((0, 1)) / number.clamp_min(1)
    deviations = torch.where(on, z - mean, 0.0).square().sum((0, 1))
    return torch.cat([number[None], mean, deviations])


def variance(rows: Tensor) -> Tensor:
    """Mean over dimensions of the variance of several batches joined, from their :func:`moments` [R, 1 + 2D].

    Means first, then deviations from the joined mean (Chan et al. 1979): sums of squares would lose it all where the
    latents are far from zero.
    """
    number, (mean, deviations) = rows[:, :1], rows[:, 1:].chunk(2, 1)
    total = number.sum()
    joined = (number * mean).sum(0) / total.clamp_min(1)
    squares = deviations.sum(0) + (number * (mean - joined).square()).sum(0)
    return squares.mean() / (total - 1).clamp_min(1)

"""Codebooks fitted to a fixed encoder: k-means level by level, then all levels moved together."""

from __future__ import annotations

import torch
from torch import Tensor

from codectok.codec.beam import beam_search
from codectok.codec.rvq import ResidualVQ

ITERATIONS = 10
"""Of k-means, each level."""
PATHS = 4
"""Of the search whose sums the levels are moved to."""
SWEEPS = 2
"""Through the levels, each round."""


@torch.no_grad()
def fit_residual(vq: ResidualVQ, rows: Tensor, rounds: int, seed: int, rank: int = 0, world: int = 1) -> None:
    """Fit the codebooks of ``vq`` to rows [N, D], the same in every process.

    After k-means, each round searches the rows' codes anew and moves every vector by the mean of what is left where it
    was chosen, one level after another: least squares by coordinates, with the codes held (Babenko & Lempitsky 2014).
    Few rows are learned by heart that way: give some hundred for each code.
    """
    vq.fit(rows.tensor_split(world)[rank], ITERATIONS, seed)  # it joins the parts of all processes in this order
    for _ in range(rounds):
        tables = [level.vectors.clone() for level in vq.levels]
        codes = beam_search(rows, tables, max(PATHS, vq.paths)).codes[:, 0]
        left = rows - sum(table[index] for table, index in zip(tables, codes.T, strict=True))
        counts = [torch.bincount(index, minlength=len(t)).float() for t, index in zip(tables, codes.T, strict=True)]
        for _ in range(SWEEPS):
            for table, index, count in zip(tables, codes.T, counts, strict=True):
                moves = torch.zeros_like(table).index_add_(0, index, left) / (count + 1)[:, None]
                table += moves
                left -= moves[index]
        for level, table, count in zip(vq.levels, tables, counts, strict=True):
            level.set_vectors(table, count)

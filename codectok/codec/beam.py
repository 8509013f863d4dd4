"""Beam search through residual codebooks: several ways down at a time, and the one that ends nearest is taken.

Greedy residual quantization takes the nearest code at each level, which is not where the nearest sum of codes begins.
Keeping the best few sums (M-L search, Anderson & Mohan 1984; for residual quantizers Chen, Guan & Wang 2010) costs that
many times the search and not one bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from codectok.errors import FormatError

GREEDY = "greedy"
CHUNK = 256
"""Frames searched at a time: the distances of all their paths to all codes stay in a CPU's cache."""

GROUPS = 32
"""Pieces that a row of distances is cut into to find its smallest."""


def paths_of(search: str) -> int:
    """Paths that a config's ``search`` keeps: 1 for ``greedy``, N for ``beam-N``.

    Raises:
        FormatError: neither of the two.
    """
    if search == GREEDY:
        return 1
    kind, _, number = search.partition("-")
    if kind != "beam" or not number.isdecimal() or not 1 <= int(number) <= 64:
        raise FormatError(f"search is {search!r}: give {GREEDY}, or beam-N with N from 1 to 64")
    return int(number)


class Beam(NamedTuple):
    """The paths that a search kept, best first."""

    codes: Tensor
    """int64 [N, W, K]."""
    errors: Tensor
    """Squared distances of the sums of their vectors, float [N, W]."""


def error_weights(table: Tensor) -> Tensor:
    """[D + 2, size] of a level's vectors [size, D]: times [row, 1, error of the row] it gives the errors after it."""
    return torch.cat([table.T * -2, table.square().sum(1)[None], table.new_ones(1, len(table))])


def beam_search(x: Tensor, tables: Sequence[Tensor], paths: int, weights: Sequence[Tensor] | None = None) -> Beam:
    """Codes whose vectors' sum comes near to each row of ``x`` [N, D], within what ``paths`` ways down can find.

    Args:
        x: rows.
        tables: vectors [size, D] of each level.
        paths: kept after each level; fewer where there are not as many. With 1 the search is greedy.
        weights: of each level, where they are at hand; see :func:`error_weights`.
    """
    weights = weights or [error_weights(table) for table in tables]
    parts = [_search(rows, tables, weights, paths) for rows in x.split(CHUNK)] or [_search(x, tables, weights, paths)]
    return Beam(torch.cat([p.codes for p in parts]), torch.cat([p.errors for p in parts]))


def _search(x: Tensor, tables: Sequence[Tensor], weights: Sequence[Tensor], paths: int) -> Beam:
    rest, codes = x[:, None], x.new_zeros(len(x), 1, 0, dtype=torch.int64)
    errors = x.square().sum(1, keepdim=True)
    for table, weight in zip(tables, weights, strict=True):
        rows = torch.cat([rest, torch.ones_like(errors)[..., None], errors[..., None]], 2)
        sums = (rows.flatten(0, 1) @ weight).view(len(x), rest.shape[1] * len(table))
        # In the order of their codes, so that of equal sums the first is taken.
        at = _smallest(sums, min(paths, sums.shape[1])).sort(1).values
        parent, code = at // len(table), at % len(table)
        rest = rest.gather(1, parent[..., None].expand(-1, -1, x.shape[1])) - table[code]
        codes = torch.cat([codes.gather(1, parent[..., None].expand(-1, -1, codes.shape[2])), code[..., None]], 2)
        errors = rest.square().sum(2)  # anew: what is added level by level loses digits
    errors, order = errors.sort(dim=1, stable=True)
    return Beam(codes.gather(1, order[..., None].expand(-1, -1, codes.shape[2])), errors)


def _smallest(x: Tensor, count: int) -> Tensor:
    """Where the smallest ``count`` of each row of ``x`` [N, M] are, int64 [N, count], in any order.

    They lie in the ``count`` columns of smallest minimum when the row is cut into GROUPS: minima are found faster.
    """
    width = x.shape[1] // GROUPS
    if x.shape[1] % GROUPS or width <= count:
        return x.topk(count, 1, largest=False).indices
    grid = x.view(len(x), GROUPS, width)
    columns = grid.amin(1).topk(count, 1, largest=False).indices
    found = grid.gather(2, columns[:, None].expand(-1, GROUPS, -1)).flatten(1).topk(count, 1, largest=False).indices
    return found // count * width + columns.gather(1, found % count)

"""BPE as it is defined, slowly: what the fast one is compared with."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

Pairs = list[tuple[int, int]]


def encode_slowly(symbols: list[int], num_symbols: int, merges: Pairs) -> list[int]:
    """Merge the pair of the lowest rank, the leftmost of equal ones, until there is none."""
    rank = {pair: r for r, pair in enumerate(merges)}
    ids = list(symbols)
    while found := [(rank[pair], i) for i, pair in enumerate(pairwise(ids)) if pair in rank]:
        r, i = min(found)
        ids[i : i + 2] = [num_symbols + r]
    return ids


def random_merges(rng: np.random.Generator, num_symbols: int, count: int) -> Pairs:
    """Any merges at all: unlike trained ones they need not be frequent, nor spell different things."""
    merges: dict[tuple[int, int], None] = {}
    while len(merges) < count:
        a, b = rng.integers(0, num_symbols + len(merges), 2).tolist()
        merges[a, b] = None
    return list(merges)


def markov(rng: np.random.Generator, num_symbols: int, length: int) -> np.ndarray:
    """Unit-like: each symbol has a few likely followers, so that merges nest."""
    followers = rng.integers(0, num_symbols, (num_symbols, 4))
    choice, strays = rng.choice(4, length, p=[0.5, 0.3, 0.15, 0.05]), rng.integers(0, num_symbols, length)
    stray, out = rng.random(length) < 0.1, np.empty(length, np.int64)
    now = 0
    for i in range(length):
        now = strays[i] if stray[i] else followers[now, choice[i]]
        out[i] = now
    return out

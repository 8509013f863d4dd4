"""Applying BPE merges to whole batches at once, exactly.

BPE (Gage 1994; Sennrich et al. 2016, section 3.2) is sequential: of all neighbouring pairs it merges that of the lowest
rank, the leftmost of equal ones, until none is left. Done so, a batch is as slow as its longest utterance. Most merges
though cannot be reached by any other one first, and all of those can be made at once. What decides it is, for the
junction between two neighbouring tokens a, b,

    direct(a, b)   the rank of the merge (a, b) itself, and
    cross(a, b)    the lowest rank of any merge (x, y) where x ends in a and y begins with b, however they came about:
                   before that rank, nothing is ever merged over this junction.

A merge of rank r is **safe** if both junctions beside it are crossed at ranks above r only: its two tokens are then
still there when its turn comes. (At the right, r itself will do: of equal ranks the left goes first.) Junctions that
no merge ever crosses cut a sequence into words; the lowest rank of a word is safe too, which is the way on where the
bound is too careful. Both need that what a merge makes takes part in merges of higher ranks only: so it is where each
merge makes a token of its own.
"""

from __future__ import annotations

import numpy as np

NEVER = np.int32(2**31 - 1)
"""Rank of what is never merged."""
SWEEP = 32
"""Rounds after which all words are looked at: runs (aaa...) unravel from the left, one merge a round, otherwise."""
_EMPTY = -1
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Junctions:
    """``direct`` and ``cross`` of any two tokens, in a hash table with open addressing.

    Args:
        num_symbols: n; the merge of rank r makes token n + r.
        pairs: int64 [M, 2], the merges in order of rank.
    """

    def __init__(self, num_symbols: int, pairs: np.ndarray) -> None:
        self.num_symbols = num_symbols
        self.separator = num_symbols + len(pairs)
        """A symbol that is never merged with another."""
        self._stride = self.separator + 1
        left_owner, left = _spine(pairs[:, 0], pairs[:, 1], num_symbols)
        right_owner, right = _spine(pairs[:, 1], pairs[:, 0], num_symbols)
        counts = np.bincount(right_owner, minlength=len(pairs))
        first = np.cumsum(counts) - counts
        times = counts[left_owner]
        within = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        keys = np.repeat(left, times) * self._stride + right[np.repeat(first[left_owner], times) + within]
        # Owners rise, so the first of equal keys is the one of the lowest rank.
        keys, lowest = np.unique(keys, return_index=True)
        direct = np.full(len(keys), NEVER)
        direct[np.searchsorted(keys, pairs[:, 0] * self._stride + pairs[:, 1])] = np.arange(len(pairs))
        self._fill(keys, direct, np.repeat(left_owner, times)[lowest].astype(np.int32))

    def _fill(self, keys: np.ndarray, direct: np.ndarray, cross: np.ndarray) -> None:
        bits = max(4, (4 * len(keys)).bit_length())
        self._shift, self._mask = np.uint64(64 - bits), 2**bits - 1
        self._keys = np.full(2**bits, _EMPTY, np.int64)
        self._direct, self._cross = np.full(2**bits, NEVER), np.full(2**bits, NEVER)
        slots, left = self._hash(keys), np.arange(len(keys))
        while left.size:
            free = left[self._keys[slots[left]] == _EMPTY]
            self._keys[slots[free]] = keys[free]
            left = left[self._keys[slots[left]] != keys[left]]
            slots[left] = (slots[left] + 1) & self._mask
        self._direct[slots], self._cross[slots] = direct, cross

    def _hash(self, keys: np.ndarray) -> np.ndarray:
        return ((keys.view(np.uint64) * _MULTIPLIER) >> self._shift).view(np.int64)

    def __call__(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``direct`` and ``cross``, int32 [N], of left tokens int64 [N] and right ones."""
        keys = left * self._stride
        keys += right
        slots = self._hash(keys)
        found = self._keys.take(slots)
        missed = np.flatnonzero((found != keys) & (found != _EMPTY))
        while missed.size:
            slots[missed] = (slots[missed] + 1) & self._mask
            found = self._keys[slots[missed]]
            missed = missed[(found != keys[missed]) & (found != _EMPTY)]
        return self._direct.take(slots), self._cross.take(slots)


def _spine(tops: np.ndarray, child: np.ndarray, num_symbols: int) -> tuple[np.ndarray, np.ndarray]:
    """Each of ``tops`` [M], its child, that one's child and so on to a symbol: the index of the top, the token."""
    owner = np.arange(len(tops))
    owners, tokens = [owner], [tops]
    while (deeper := tops >= num_symbols).any():
        owner, tops = owner[deeper], child[tops[deeper] - num_symbols]
        owners.append(owner)
        tokens.append(tops)
    order = np.argsort(np.concatenate(owners), kind="stable")
    return np.concatenate(owners)[order], np.concatenate(tokens)[order]


def merge_all(junctions: Junctions, symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Apply all merges.

    Args:
        junctions: of the merges.
        symbols: int64 [N], sequences with ``junctions.separator`` before, between and after them.

    Returns:
        The tokens, int64 [N], where ``alive`` (bool [N]) is true; separators are alive, what was merged into the token
        at its left is not.
    """
    tokens = symbols.copy()
    alive = np.ones(len(tokens), bool)
    following = np.arange(1, len(tokens) + 1)
    following[-1] = len(tokens) - 1
    before = np.arange(-1, len(tokens) - 1)
    before[0] = 0
    # Junction i lies between the token at i and the next one alive.
    direct, cross = np.full(len(tokens), NEVER), np.full(len(tokens), NEVER)
    direct[:-1], cross[:-1] = junctions(tokens[:-1], tokens[1:])
    stamp = np.empty(len(tokens), np.int64)
    look = np.flatnonzero(direct != NEVER)
    turn = 0
    while True:
        turn += 1
        rank = direct[look]
        hits = look[(rank < cross[before[look]]) & (rank <= cross[following[look]])]
        stamp[hits] = np.arange(len(hits))
        hits = hits[stamp[hits] == np.arange(len(hits))]  # once each
        everywhere = not hits.size or turn % SWEEP == 0
        if everywhere:
            hits = _lowest_of_words(np.flatnonzero(alive), direct, cross)
            if not hits.size:
                return tokens, alive
        tokens[hits] = junctions.num_symbols + direct[hits]
        gone = following[hits]
        alive[gone] = False
        after = following[gone]
        following[hits] = after
        before[after] = hits
        changed = np.concatenate([before[hits], hits])
        direct[changed], cross[changed] = junctions(tokens[changed], tokens[following[changed]])
        direct[gone] = NEVER
        look = np.arange(len(tokens)) if everywhere else np.concatenate([before[before[hits]], changed, after])
        look = look[direct[look] != NEVER]


def _lowest_of_words(places: np.ndarray, direct: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Places of each word's merges of its lowest rank; of overlapping ones (aaa) every second, from the left."""
    rank, ends = direct[places], cross[places] == NEVER
    starts = np.flatnonzero(np.concatenate([[True], ends[:-1]]))
    lowest = np.repeat(np.minimum.reduceat(rank, starts), np.diff(np.append(starts, len(rank))))
    hits = np.flatnonzero((rank == lowest) & (rank != NEVER))
    index = np.arange(len(hits))
    fresh = np.concatenate([[True], np.diff(hits) > 1])[: len(hits)]
    run = np.maximum.accumulate(np.where(fresh, index, 0))
    return places[hits[(index - run) % 2 == 0]]

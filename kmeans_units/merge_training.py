"""The merges of BPE, learned in time linear in the symbols, whether they stand in one sequence or in many.

BPE (Gage 1994; Sennrich et al. 2016, section 3.2) merges the commonest pair of neighbours, again and again. A library
of text does this word by word, and removes a symbol of a word by moving those behind it: right for words, quadratic
for an hour of units in one piece. Here all sequences lie in one linked list, the places of each pair are known, and a
merge touches its own places only, all of them at once.

Which pair comes next, and how overlapping ones count ("aaa" has the pair aa twice, and is merged once, at its left),
is as in the tokenizers library, whose merges these are.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

BAR, GONE = -1, -2
"""What stands between two sequences, and where a symbol was merged into the one at its left."""


def learn_merges(sequences: Sequence[np.ndarray], num_symbols: int, count: int, min_frequency: int) -> list[list[int]]:
    """Up to ``count`` merges of sequences of symbols ``0..num_symbols - 1``, int [N] each: pairs of ids in order.

    Of pairs that are as common that of the lowest ids comes first. The merge at place r makes the id
    ``num_symbols + r``. A merge that would spell what an id spells already is made, and is none of those returned: its
    places get that id. They end where no pair comes up ``min_frequency`` times.
    """
    return _Learner(sequences, num_symbols, count).run(count, min_frequency)


class _Learner:
    def __init__(self, sequences: Sequence[np.ndarray], num_symbols: int, count: int) -> None:
        self.num_symbols, self.stride = num_symbols, num_symbols + count
        sizes = np.array([len(s) for s in sequences], dtype=np.int64)
        self.token = np.full(int(sizes.sum()) + len(sizes) + 1, BAR, np.int32)
        if sequences:
            whole = np.concatenate(sequences)
            self.token[np.arange(len(whole)) + np.repeat(np.arange(1, len(sizes) + 1), sizes)] = whole
        self.after = np.arange(1, len(self.token) + 1, dtype=np.int32)
        self.before = np.arange(-1, len(self.token) - 1, dtype=np.int32)
        self.after[-1], self.before[0] = len(self.token) - 1, 0
        self.counts: dict[int, int] = {}
        self.places: dict[int, list[np.ndarray]] = {}
        self.heap: list[tuple[int, int]] = []
        for key, places in self._by_pair(np.arange(len(self.token) - 1, dtype=np.int32)):
            self.counts[key], self.places[key] = len(places), [places]
            self.heap.append((-len(places), key))
        heapq.heapify(self.heap)

    def run(self, count: int, min_frequency: int) -> list[list[int]]:
        spelled: list[tuple[int, ...]] = []
        ids: dict[tuple[int, ...], int] = {}
        merges: list[list[int]] = []
        while len(merges) < count and self.heap:
            negative, key = heapq.heappop(self.heap)
            if -negative != self.counts[key]:  # it was another pair's neighbour since
                if self.counts[key] > 0:
                    heapq.heappush(self.heap, (-self.counts[key], key))
                continue
            if -negative < max(1, min_frequency):
                break
            left, right = divmod(key, self.stride)
            piece = self._spelling(spelled, left) + self._spelling(spelled, right)
            if piece not in ids:
                ids[piece] = self.num_symbols + len(merges)
                spelled.append(piece)
                merges.append([left, right])
            self._merge(left, right, ids[piece], key)
        return merges

    def _spelling(self, spelled: list[tuple[int, ...]], id: int) -> tuple[int, ...]:
        return (id,) if id < self.num_symbols else spelled[id - self.num_symbols]

    def _merge(self, left: int, right: int, made: int, key: int) -> None:
        """Merge one pair wherever it stands, and count its neighbours anew."""
        here = np.unique(np.concatenate(self.places.pop(key)))
        second = self.after[here]
        kept = (self.token[here] == left) & (self.token[second] == right)
        here, second = here[kept], second[kept]
        if left == right:
            kept = _every_second(here, second)
            here, second = here[kept], second[kept]
        before, beyond = self.before[here], self.after[second]
        # A junction is known by the place at its left. Those beside a merge go, and others stand there then; where two
        # merges are neighbours, it is one junction.
        for gone, places in self._by_pair(_distinct(before, second, within=second)):
            self.counts[gone] -= len(places)
        self.counts[key] = 0
        self.token[here], self.token[second] = made, GONE
        self.after[here], self.before[beyond] = beyond, here
        for new, places in self._by_pair(_distinct(before[self.token[before] != GONE], here, within=here)):
            self.counts[new] = self.counts.get(new, 0) + len(places)
            self.places.setdefault(new, []).append(places)
            heapq.heappush(self.heap, (-self.counts[new], new))

    def _by_pair(self, places: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """The junctions at these places, a group a pair, as ``left * stride + right``; bars are in no pair."""
        left, right = self.token[places].astype(np.int64), self.token[self.after[places]]
        inside = (left >= 0) & (right >= 0)
        keys, places = (left * self.stride + right)[inside], places[inside]
        order = np.argsort(keys, kind="stable")
        keys, places = keys[order], places[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
        ends = [*starts[1:].tolist(), len(keys)] if len(starts) else []
        found = zip(keys[starts].tolist(), starts.tolist(), ends, strict=True)
        return [(key, places[a:b]) for key, a, b in found]


def _distinct(before: np.ndarray, after: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Places of both, those of ``before`` that are among ``within`` (which rise, like both) once."""
    slots = np.minimum(np.searchsorted(within, before), max(0, len(within) - 1))
    twice = within[slots] == before if len(within) else np.zeros(len(before), bool)
    return np.concatenate([before[~twice], after])


def _every_second(here: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of a pair of equals that overlap (aaaa), the first, the third, ...; bool like ``here``, which rises."""
    index = np.arange(len(here))
    fresh = np.concatenate([[True], here[1:] != second[:-1]])[: len(here)]
    run = np.maximum.accumulate(np.where(fresh, index, 0))
    return (index - run) % 2 == 0

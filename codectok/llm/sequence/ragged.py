"""Batches of training sequences end to end in flat arrays: joined, sliced, regrouped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codectok.llm.sequence.loss_labels import IGNORE


@dataclass(frozen=True, eq=False)
class Sequences:
    """A batch of sequences end to end; sequence i is [offsets[i], offsets[i + 1]).

    Attributes:
        ids: int32 [N], token ids.
        labels: int32 [N], the id where it is to be said, else IGNORE; IGNORE at each sequence's first token.
        weights: float32 [N], loss weights, 0 where there is no label; None: 1 at every label.
        cuts: bool [N], whether a sequence may be cut before this token: never within a frame.
        offsets: int64 [B + 1].
    """

    ids: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None
    cuts: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """int64 [B]."""
        return np.diff(self.offsets)

    def part(self, first: int, last: int) -> Sequences:
        """Sequences first..last - 1; the arrays are shared."""
        a, b = int(self.offsets[first]), int(self.offsets[last])
        weights = None if self.weights is None else self.weights[a:b]
        offsets = self.offsets[first : last + 1] - a
        return Sequences(self.ids[a:b], self.labels[a:b], weights, self.cuts[a:b], offsets)

    def choose(self, kept: np.ndarray) -> Sequences:
        """The sequences where ``kept``, bool [B]."""
        if kept.all():
            return self
        lengths = self.lengths
        tokens = np.repeat(kept, lengths)
        weights = None if self.weights is None else self.weights[tokens]
        offsets = np.concatenate([[0], np.cumsum(lengths[kept])])
        return Sequences(self.ids[tokens], self.labels[tokens], weights, self.cuts[tokens], offsets)


def windows(batches: Iterable[tuple[Sequences, list[str]]], size: int) -> Iterator[tuple[Sequences, list[str]]]:
    """Regroup batches of sequences, each with an id, into windows of exactly ``size`` (the last one smaller)."""
    held: list[tuple[Sequences, list[str]]] = []
    for batch, names in batches:
        held.append((batch, names))
        while sum(len(n) for _, n in held) >= size:
            joined, all_names = join([b for b, _ in held]), [n for _, ns in held for n in ns]
            yield joined.part(0, size), all_names[:size]
            held = [(joined.part(size, len(all_names)), all_names[size:])]
    if sum(len(n) for _, n in held):
        yield join([b for b, _ in held]), [n for _, ns in held for n in ns]


def join(batches: Sequence[Sequences]) -> Sequences:
    """Batches as one; weights of 1 where only some have any."""
    weights = None
    if any(b.weights is not None for b in batches):
        weights = np.concatenate(
            [(b.labels != IGNORE).astype(np.float32) if b.weights is None else b.weights for b in batches]
        )
    lengths = np.concatenate([np.zeros(1, dtype=np.int64), *(b.lengths for b in batches)])
    columns = [np.concatenate([getattr(b, name) for b in batches]) for name in ("ids", "labels", "cuts")]
    return Sequences(columns[0], columns[1], weights, columns[2], np.cumsum(lengths))

"""Packing: sequences side by side in rows of bounded length, so that little is padding.

First-fit decreasing puts whole sequences into the first row with room, longest first. Cutting fills every row and cuts
a sequence where a row ends, never within a frame; what follows the cut is a sequence of its own, which no longer knows
its beginning. In both, position ids begin at 0 with each sequence and sequence ids count them in a row, so that
attention can stay within one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.sequence.loss_labels import IGNORE
from codectok.llm.sequence.ragged import Sequences


class Piece(NamedTuple):
    """Tokens start..stop of one sequence."""

    sequence: int
    start: int
    stop: int


def first_fit_decreasing(lengths: Sequence[int] | np.ndarray, capacity: int) -> list[list[int]]:
    """Indexes of sequences by row: longest first (then in order), each into the first row with room for it.

    O(n log n): a tree over rows holds the most room below each node. Within a row, sequences are in their order.

    Raises:
        FormatError: a sequence longer than a row.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if (sizes > capacity).any():
        raise FormatError(f"a sequence of {int(sizes.max())} tokens does not fit into a row of {capacity}")
    leaves = 1 << max(len(sizes) - 1, 0).bit_length()
    room = [capacity] * (2 * leaves)
    rows: list[list[int]] = []
    for index in np.argsort(-sizes, kind="stable").tolist():
        size, node = int(sizes[index]), 1
        while node < leaves:
            node *= 2
            if room[node] < size:
                node += 1
        if node - leaves == len(rows):
            rows.append([])
        rows[node - leaves].append(index)
        room[node] -= size
        while node > 1:
            node //= 2
            room[node] = max(room[2 * node], room[2 * node + 1])
    return [sorted(row) for row in rows]


def cut_rows(cuts: Sequence[np.ndarray], capacity: int) -> list[list[Piece]]:
    """Rows filled in order; a sequence that reaches over a row's end is cut at its last legal place within.

    Args:
        cuts: for each sequence bool [N], whether it may be cut before each token.
        capacity: tokens a row.

    Raises:
        FormatError: a stretch that must not be cut and is longer than a row.
    """
    rows: list[list[Piece]] = [[]]
    free = capacity
    for sequence, legal in enumerate(cuts):
        start, marks = 0, np.append(np.flatnonzero(legal[1:]) + 1, len(legal))
        while start < len(legal):
            at = int(np.searchsorted(marks, start + free, side="right")) - 1
            stop = int(marks[at]) if at >= 0 else 0
            if stop <= start:
                if free == capacity:
                    raise FormatError(f"a frame of more than {capacity} tokens does not fit into a row: longer rows")
                rows.append([])
                free = capacity
                continue
            rows[-1].append(Piece(sequence, start, stop))
            free -= stop - start
            start = stop
    return [row for row in rows if row]


def longest_stretch(cuts: np.ndarray) -> int:
    """The most tokens between two legal cuts of a sequence, bool [N]."""
    return int(np.diff(np.concatenate([[0], np.flatnonzero(cuts[1:]) + 1, [len(cuts)]])).max()) if len(cuts) else 0


@dataclass(frozen=True, eq=False)
class PackedRows:
    """Packed rows, end to end; all arrays [N] but the last three.

    Attributes:
        ids: int32, token ids.
        labels: int32, IGNORE at the first token of every sequence.
        weights: float32 loss weights, or None.
        position_ids: int32, from 0 in each sequence.
        sequence_ids: int32, 0, 1, ... in each row.
        offsets: int64 [R + 1], where rows begin.
        sequences: the index of each piece's sequence in what was given, in the order of rows.
        per_row: pieces in each row, int64 [R].
    """

    ids: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None
    position_ids: np.ndarray
    sequence_ids: np.ndarray
    offsets: np.ndarray
    sequences: list[int]
    per_row: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1


def pack(given: Sequences, capacity: int, *, cut: bool = False) -> PackedRows:
    """All of a batch in rows of at most ``capacity`` tokens. Empty sequences are left out.

    Raises:
        FormatError: a sequence (with ``cut``: a frame) longer than a row.
    """
    if cut:
        spans = zip(given.offsets, given.offsets[1:], strict=False)
        rows = cut_rows([given.cuts[a:b] for a, b in spans], capacity)
    else:
        sizes = given.lengths
        kept = np.flatnonzero(sizes)
        found = first_fit_decreasing(sizes[kept], capacity)
        rows = [[Piece(int(kept[i]), 0, int(sizes[kept[i]])) for i in row] for row in found]
    return _rows(given, rows)


def _rows(given: Sequences, rows: list[list[Piece]]) -> PackedRows:
    pieces = [piece for row in rows for piece in row]
    begin = given.offsets.tolist()
    spans = [slice(begin[p.sequence] + p.start, begin[p.sequence] + p.stop) for p in pieces]
    lengths = np.array([p.stop - p.start for p in pieces], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    per_row = np.array([len(row) for row in rows], dtype=np.int64)

    def take(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values[:0], *(values[span] for span in spans)])

    labels, weights = take(given.labels), None if given.weights is None else take(given.weights)
    labels[starts] = IGNORE  # of a cut sequence's rest: what it would be predicted from is in another row
    if weights is not None:
        weights[starts] = 0
    total = int(lengths.sum())
    number = np.arange(len(pieces)) - np.repeat(np.cumsum(per_row) - per_row, per_row)
    ends = np.concatenate([[0], np.cumsum(lengths)])[np.concatenate([[0], np.cumsum(per_row)])]
    return PackedRows(
        ids=take(given.ids),
        labels=labels,
        weights=weights,
        position_ids=(np.arange(total) - np.repeat(starts, lengths)).astype(np.int32),
        sequence_ids=np.repeat(number, lengths).astype(np.int32),
        offsets=ends.astype(np.int64),
        sequences=[p.sequence for p in pieces],
        per_row=per_row,
    )


def attention_mask(sequence_ids: Tensor) -> Tensor:
    """Bool [B, 1, N, N]: whether token i sees token j: the same sequence, not later. Padding (-1) sees itself alone."""
    same = sequence_ids[:, :, None] == sequence_ids[:, None, :]
    alone = torch.eye(sequence_ids.shape[1], dtype=torch.bool, device=sequence_ids.device)
    return (same & (sequence_ids >= 0)[:, :, None] | alone).tril()[:, None]

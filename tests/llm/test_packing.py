"""Packing, against loops that look at every row for every sequence."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import FormatError
from codectok.llm.pack.packing import attention_mask, cut_rows, first_fit_decreasing, longest_stretch, pack
from codectok.llm.pack.row_files import collate
from codectok.llm.sequence.loss_labels import IGNORE
from codectok.llm.sequence.ragged import Sequences, join, windows


def slow_first_fit(lengths: list[int], capacity: int) -> list[list[int]]:
    rows: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        for row in rows:
            if sum(lengths[j] for j in row) + lengths[i] <= capacity:
                row.append(i)
                break
        else:
            rows.append([i])
    return [sorted(row) for row in rows]


def slow_cut(cuts: list[np.ndarray], capacity: int) -> list[list[tuple[int, int, int]]]:
    """Frame by frame: into this row if it fits, else into a new one."""
    rows: list[list[tuple[int, int, int]]] = [[]]
    for i, legal in enumerate(cuts):
        bounds = [0, *(j for j in range(1, len(legal)) if legal[j]), len(legal)]
        for a, b in itertools.pairwise(bounds):
            if sum(y - x for _, x, y in rows[-1]) + b - a > capacity:
                rows.append([])
            last = rows[-1][-1] if rows[-1] else (-1, 0, 0)
            if last[0] == i and last[2] == a:
                rows[-1][-1] = (i, last[1], b)
            elif b > a:
                rows[-1].append((i, a, b))
    return [row for row in rows if row]


def made(lengths: list[int], width: int = 1, weighted: bool = False) -> Sequences:
    """Sequences whose ids are all different, in frames of ``width``; every second token has a label."""
    total = sum(lengths)
    ids = np.arange(total, dtype=np.int32)
    cuts = np.concatenate([np.arange(n) % width == 0 for n in [*lengths, 0]])
    offsets = np.cumsum([0, *lengths])
    labels = np.where(ids % 2, ids, IGNORE).astype(np.int32)
    labels[offsets[:-1][np.array(lengths, dtype=int) > 0]] = IGNORE
    weights = np.where(labels != IGNORE, 1 + ids % 5, 0).astype(np.float32) if weighted else None
    return Sequences(ids, labels, weights, cuts, offsets)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 50), max_size=60), st.integers(50, 120))
def test_first_fit_decreasing_is_the_slow_one(lengths: list[int], capacity: int) -> None:
    assert first_fit_decreasing(lengths, capacity) == slow_first_fit(lengths, capacity)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 70), max_size=20), st.integers(5, 64), st.integers(1, 5))
def test_cut_rows_are_the_slow_ones(lengths: list[int], capacity: int, width: int) -> None:
    sequences = made(lengths, width)
    cuts = [sequences.cuts[a:b] for a, b in zip(sequences.offsets, sequences.offsets[1:], strict=False)]
    assert cut_rows(cuts, capacity) == slow_cut(cuts, capacity)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=30), st.integers(40, 90), st.integers(1, 4), st.booleans(), st.booleans())
def test_rows_hold_every_token_once(lengths: list[int], capacity: int, width: int, cut: bool, weighted: bool) -> None:
    given_ = made([n * width for n in lengths], width, weighted)
    rows = pack(given_, capacity * width - 1 if cut and width > 1 else capacity * width, cut=cut)
    assert sorted(rows.ids.tolist()) == given_.ids.tolist()
    assert rows.offsets[-1] == len(rows.ids)
    assert (np.diff(rows.offsets) <= capacity * width).all()
    assert (np.diff(rows.offsets) > 0).all()
    starts = np.flatnonzero(rows.position_ids == 0)
    assert len(starts) == len(rows.sequences) == rows.per_row.sum()
    pieces = np.split(rows.ids, starts)[1:]
    for piece, sequence in zip(pieces, rows.sequences, strict=True):
        a, b = given_.offsets[sequence : sequence + 2]
        assert piece.tolist() == list(range(piece[0], piece[0] + len(piece))) if len(piece) else True
        assert a <= piece[0]
        assert piece[-1] < b
        assert (piece[0] - a) % width == 0
        assert len(piece) % width == 0
        assert cut or len(piece) == b - a
    # labels: each token's own, but for the first of each piece
    expected = given_.labels[rows.ids] if len(rows.ids) else given_.labels
    expected[starts] = IGNORE
    assert rows.labels.tolist() == expected.tolist()
    if weighted:
        assert rows.weights is not None
        assert given_.weights is not None
        whole = given_.weights[rows.ids]
        whole[starts] = 0
        assert rows.weights.tolist() == whole.tolist()
    for a, b in zip(rows.offsets, rows.offsets[1:], strict=False):
        change = np.diff(rows.sequence_ids[a:b])
        assert rows.sequence_ids[a] == 0
        assert (change == (rows.position_ids[a + 1 : b] == 0)).all()


def test_what_does_not_fit() -> None:
    with pytest.raises(FormatError, match="51 tokens does not fit into a row of 50"):
        first_fit_decreasing([3, 51], 50)
    with pytest.raises(FormatError, match="frame of more than 3"):
        cut_rows([np.array([True, False, False, False])], 3)
    assert longest_stretch(np.array([True, False, False, True, True])) == 3
    assert longest_stretch(np.zeros(4, dtype=bool)) == 4
    assert longest_stretch(np.zeros(0, dtype=bool)) == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), max_size=7), max_size=6), st.integers(1, 8), st.data())
def test_windows_regroup_without_loss(batches: list[list[int]], size: int, data: Any) -> None:
    whole = made([n for batch in batches for n in batch], weighted=True)
    names = [f"u{i}" for i in range(len(whole))]
    pieces, at = [], 0
    for batch in batches:
        pieces.append((whole.part(at, at + len(batch)), names[at : at + len(batch)]))
        at += len(batch)
    found = list(windows(pieces, size))
    assert [n for _, ns in found for n in ns] == names
    assert all(len(ns) == len(s) == size for s, ns in found[:-1])
    if found:
        again = join([s for s, _ in found])
        for name in ("ids", "labels", "weights", "cuts", "offsets"):
            assert getattr(again, name).tolist() == getattr(whole, name).tolist()
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names))), dtype=bool)
    some = whole.choose(kept)
    expected = [whole.part(i, i + 1).ids.tolist() for i in np.flatnonzero(kept)]
    assert [some.part(i, i + 1).ids.tolist() for i in range(len(some))] == expected


def test_attention_stays_within_a_sequence() -> None:
    rows = [
        {"input_ids": [5, 6, 7], "labels": [-100, 6, 7], "position_ids": [0, 1, 0], "sequence_ids": [0, 0, 1]},
        {"input_ids": [8], "labels": [-100], "position_ids": [0], "sequence_ids": [0]},
    ]
    batch = collate(rows, pad_id=9)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["labels"].tolist() == [[-100, 6, 7], [-100] * 3]
    assert batch["sequence_ids"].tolist() == [[0, 0, 1], [0, -1, -1]]
    mask = attention_mask(batch["sequence_ids"])
    assert mask.shape == (2, 1, 3, 3)
    assert mask[0, 0].int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert mask[1, 0].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_a_packed_row_is_its_sequences_one_by_one() -> None:
    """Positions and mask together: a model gives each sequence of a row the logits it gives it alone."""
    from .tiny_models import model

    net = model("llama", 40, tied=False)
    rows = pack(made([5, 9, 3]), 17)
    row = torch.from_numpy(rows.ids.astype(np.int64))[None]
    with torch.no_grad():
        packed = net(
            row,
            attention_mask=attention_mask(torch.from_numpy(rows.sequence_ids)[None]),
            position_ids=torch.from_numpy(rows.position_ids.astype(np.int64))[None],
        ).logits[0]
        alone = [net(row[:, torch.from_numpy(rows.sequence_ids == i)]).logits[0] for i in range(3)]
    assert torch.allclose(packed, torch.cat(alone), atol=1e-5)

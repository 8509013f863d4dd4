"""ABX: by hand, against a slow reference that follows the definition triple by triple, and its draws."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.metrics import MetricError
from codectok.metrics.abx import abx
from codectok.metrics.dtw import dtw
from codectok.metrics.items import AbxItem


def item(phone: str, speaker: str, before: str = "P", after: str = "Q", file: str = "f", at: int = 0) -> AbxItem:
    return AbxItem(file, Fraction(at), Fraction(at + 1), phone, before, after, speaker)


# -- DTW ---------------------------------------------------------------------------------------------------------------


def paths(n: int, m: int) -> list[list[tuple[int, int]]]:
    """Every path from (0, 0) to (n - 1, m - 1)."""
    if (n, m) == (1, 1):
        return [[(0, 0)]]
    before = [(n - 1, m), (n, m - 1), (n - 1, m - 1)]
    return [[*p, (n - 1, m - 1)] for i, j in before if i and j for p in paths(i, j)]


def backtracked(cost: np.ndarray) -> float:
    """The textbook: fill the table, walk back from the end."""
    n, m = cost.shape
    table = np.full((n + 1, m + 1), np.inf)
    table[0, 0] = 0
    for i, j in itertools.product(range(n), range(m)):
        table[i + 1, j + 1] = cost[i, j] + min(table[i, j], table[i, j + 1], table[i + 1, j])
    i, j, length = n, m, 1
    while (i, j) != (1, 1):
        up, left, diagonal = table[i - 1, j], table[i, j - 1], table[i - 1, j - 1]
        i, j = (i - 1, j - 1) if diagonal <= min(up, left) else (i, j - 1) if left <= up else (i - 1, j)
        length += 1
    return table[n, m] / length


def test_dtw_by_hand() -> None:
    # The first frame of the second is passed twice: 0 + 0 + 1 over three cells.
    cost = np.array([[[0.0, 4.0], [0.0, 5.0], [3.0, 1.0]]])
    assert dtw(cost, np.array([3]), np.array([2])) == pytest.approx([1 / 3])
    assert dtw(cost, np.array([2]), np.array([1])) == pytest.approx([0.0])
    assert dtw(cost, np.array([1]), np.array([2])) == pytest.approx([2.0])


def test_dtw_goes_to_the_diagonal_where_nothing_is_cheaper() -> None:
    assert dtw(np.array([[[0.0, 0.0], [0.0, 1.0]]]), np.array([2]), np.array([2])) == pytest.approx([1 / 2])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_dtw_is_the_cheapest_path_and_ignores_padding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs = rng.random((6, 4, 5))
    rows, columns = rng.integers(1, 5, 6), rng.integers(1, 6, 6)
    found = dtw(costs, rows, columns)
    for p, (n, m) in enumerate(zip(rows, columns, strict=True)):
        cost, best = min((sum(costs[p][c] for c in path), path) for path in paths(n, m))
        assert found[p] == pytest.approx(cost / len(best))
        assert found[p] == pytest.approx(backtracked(costs[p, :n, :m]))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_dtw_is_symmetric_even_in_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs = rng.integers(0, 2, (5, 6, 7)).astype(float)
    rows, columns = rng.integers(1, 7, 5), rng.integers(1, 8, 5)
    np.testing.assert_array_equal(dtw(costs, rows, columns), dtw(costs.transpose(0, 2, 1), columns, rows))


# -- ABX ---------------------------------------------------------------------------------------------------------------


def distance(x: np.ndarray, y: np.ndarray) -> float:
    if x.ndim == 1:
        cost = (x[:, None] != y[None]).astype(float)
    else:
        cosine = [[u @ v / np.linalg.norm(u) / np.linalg.norm(v) for v in y] for u in x]
        cost = np.arccos(np.clip(cosine, -1, 1)) / np.pi
    return float(dtw(cost[None], np.array([len(x)]), np.array([len(y)]))[0])


def reference(items: list[AbxItem], frames: list[np.ndarray], across: bool) -> float:
    """Triple by triple, then the three averages."""
    n = range(len(items))
    context = [(i.before, i.after) for i in items]
    cells: dict = {}
    for a, b, x in itertools.product(n, n, n):
        if len({context[a], context[b], context[x]}) > 1 or a == x:
            continue
        if items[a].phone != items[x].phone or items[a].phone == items[b].phone:
            continue
        if items[a].speaker != items[b].speaker or (items[x].speaker != items[a].speaker) != across:
            continue
        to_a, to_b = distance(frames[x], frames[a]), distance(frames[x], frames[b])
        wrong = 0.5 if to_a == to_b else float(to_a > to_b)
        key = (items[a].phone, items[b].phone, items[a].speaker, items[x].speaker, context[a])
        cells.setdefault(key, []).append(wrong)
    levels = {k: np.mean(v) for k, v in cells.items()}
    for depth in (3, 2):  # contexts and speakers of X; speakers
        merged: dict = {}
        for key, value in levels.items():
            merged.setdefault(key[:depth], []).append(value)
        levels = {k: np.mean(v) for k, v in merged.items()}
    return float(np.mean(list(levels.values())))


def corpus(seed: int, size: int = 36) -> list[AbxItem]:
    rng = np.random.default_rng(seed)
    pick = lambda names: names[rng.integers(len(names))]  # noqa: E731
    return [item(pick("AEI"), pick("stu"), pick("PK"), pick("QL"), file=str(i)) for i in range(size)]


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_reference_on_features(seed: int, across: bool) -> None:
    items, rng = corpus(seed), np.random.default_rng(seed)
    centre = {p: rng.normal(size=6) for p in "AEI"}
    frames = [centre[i.phone] + 3.0 * rng.normal(size=(rng.integers(1, 6), 6)) for i in items]
    found = abx(items, frames, across=across, max_size=None, max_x_across=None)
    assert found.error == pytest.approx(reference(items, frames, across), abs=1e-6)
    assert 0.05 < found.error < 0.5
    assert found.left_out == 0


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_reference_on_units(seed: int, across: bool) -> None:
    items, rng = corpus(seed), np.random.default_rng(seed)
    frames = [np.where(rng.random(6) < 0.5, ord(i.phone), rng.integers(0, 3, 6))[: rng.integers(1, 7)] for i in items]
    found = abx(items, frames, across=across, max_size=None, max_x_across=None)
    assert found.error == pytest.approx(reference(items, frames, across), abs=1e-12)


def test_batches_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    items, rng = corpus(5), np.random.default_rng(5)
    frames = [rng.normal(size=(rng.integers(1, 6), 4)) for _ in items]
    whole = abx(items, frames)
    monkeypatch.setattr("codectok.metrics.abx._BATCH", 64)
    monkeypatch.setattr("codectok.metrics.abx._PAIRS_AT_ONCE", 10)
    assert abx(items, frames) == whole


def test_by_hand() -> None:
    """Two tokens of A, two of B, one frame each: angles in steps of 45 degrees."""
    at = lambda degrees: np.array([[np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]])  # noqa: E731
    items = [item("A", "s"), item("A", "s"), item("B", "s"), item("B", "s")]
    frames = [at(0), at(45), at(80), at(180)]
    # (A, B): X at 0: 45 < 80 and 45 < 180, right twice. X at 45: 45 against 35 (wrong) and 135 (right): 1/4 wrong.
    # (B, A): X at 80: 100 against 80 and 35, wrong twice. X at 180: 100 against 180 and 135, right twice: 1/2 wrong.
    found = abx(items, frames)
    assert found.error == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert (found.pairs, found.cells, found.triples, found.items) == (2, 2, 8, 4)


def test_equal_distances_count_half() -> None:
    items = [item("A", "s"), item("A", "s"), item("B", "s")]
    assert abx(items, [np.array([1]), np.array([2]), np.array([3])]).error == 0.5
    assert abx(items, [np.array([1]), np.array([1]), np.array([3])]).error == 0.0
    assert abx(items, [np.array([1]), np.array([3]), np.array([3])]).error == 0.75


def test_averages_over_contexts_before_speakers_before_pairs() -> None:
    """One speaker with two contexts weighs as much as one with a single one."""
    items, frames = [], []
    for speaker, context, wrong in (("s", "1", 0), ("s", "2", 1), ("t", "1", 1)):
        items += [item("A", speaker, context), item("A", speaker, context), item("B", speaker, context)]
        # Where wrong, the tokens of A are not alike and each is like B in one of two frames.
        frames += [np.array(x) for x in (([1, 2], [3, 4], [1, 4]) if wrong else ([1, 1], [1, 1], [2, 2]))]
    assert abx(items, frames).error == pytest.approx(np.mean([np.mean([0, 1]), 1]))


def test_across_takes_x_of_another_speaker_only() -> None:
    """Speakers whose frames have nothing in common: within all is right, across it is a draw."""
    items = [item(p, s) for s in "st" for p in "AAB"]
    frames = [np.array([10 * (i >= 3) + (items[i].phone == "B")]) for i in range(6)]
    assert abx(items, frames).error == 0
    assert abx(items, frames, across=True).error == 0.5


def test_draws_are_seeded_counted_and_independent_of_order() -> None:
    items = [item("AE"[i % 2], "st"[i % 3 == 0], file=str(i)) for i in range(120)]
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(3, 4)) for _ in items]
    thinned = abx(items, frames, max_size=5)
    assert thinned.left_out == 120 - 4 * 5
    assert thinned.items == 20
    turned = abx(items[::-1], frames[::-1], max_size=5)
    assert turned.error == pytest.approx(thinned.error)
    assert abx(items, frames, max_size=5, seed=1) != thinned
    assert abx(items, frames, max_size=None).items == 120
    speakers = [item("AE"[i % 2], str(i // 2), file=str(i)) for i in range(24)]
    assert abx(speakers, frames[:24], across=True, max_x_across=5).cells == 12 * 2 * 5
    assert abx(speakers, frames[:24], across=True, max_x_across=None).cells == 12 * 2 * 11


def test_without_context_all_tokens_of_a_phone_are_compared() -> None:
    items = [item("A", "s", "P"), item("A", "s", "K"), item("B", "s", "L")]
    frames = [np.array([1]), np.array([1]), np.array([2])]
    assert abx(items, frames, in_context=False).error == 0
    with pytest.raises(MetricError, match="no triple"):
        abx(items, frames)


def test_bad_input_is_refused() -> None:
    items = [item("A", "s"), item("A", "s"), item("B", "s")]
    for frames, message in (
        ([np.zeros(1)] * 2, "3 items"),
        ([np.zeros(1), np.zeros((1, 2)), np.zeros(1)], "of every item"),
        ([np.zeros((1, 2)), np.zeros((1, 3)), np.zeros((1, 2))], "of every item"),
        ([np.zeros(1), np.zeros(0), np.zeros(1)], "no frames"),
        ([np.full((1, 2), np.nan)] * 3, "NaN"),
    ):
        with pytest.raises(MetricError, match=message):
            abx(items, frames)
    with pytest.raises(MetricError, match="no triple"):
        abx(items, [np.zeros(1)] * 3, across=True)

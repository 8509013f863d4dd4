"""Merges over integers: equal to the slow definition, exactly invertible, for any number of symbols."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import CodeRangeError, FormatError
from codectok.transforms import bpe_ids
from codectok.transforms.bpe_ids import Merges
from codectok.transforms.merging import NEVER, Junctions
from kmeans_units.bpe import train_merges
from tests.units.bpe_reference import Pairs, encode_slowly, markov, random_merges


def check(num_symbols: int, merges: Pairs, sequences: list[list[int]]) -> None:
    bpe = Merges(num_symbols, merges)
    ids = bpe.encode([np.array(s, dtype=np.int64) for s in sequences])
    assert [i.tolist() for i in ids] == [encode_slowly(s, num_symbols, merges) for s in sequences]
    assert [s.tolist() for s in bpe.decode(ids)] == sequences


@settings(max_examples=200, deadline=None)
@given(
    num_symbols=st.integers(1, 5),
    count=st.integers(0, 25),
    seed=st.integers(0, 2**32),
    lengths=st.lists(st.integers(0, 40), max_size=5),
)
def test_any_merges_equal_the_definition(num_symbols: int, count: int, seed: int, lengths: list[int]) -> None:
    rng = np.random.default_rng(seed)
    merges = random_merges(rng, num_symbols, min(count, num_symbols**2))
    check(num_symbols, merges, [rng.integers(0, num_symbols, n).tolist() for n in lengths])


@settings(max_examples=40, deadline=None)
@given(num_symbols=st.integers(2, 30), room=st.integers(1, 60), seed=st.integers(0, 2**32))
def test_trained_merges_equal_the_definition(num_symbols: int, room: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sequences = np.split(markov(rng, num_symbols, 600), np.sort(rng.integers(0, 600, 10)))
    merges = train_merges(sequences, num_symbols, num_symbols + room, min_frequency=1)
    check(num_symbols, [(a, b) for a, b in merges.tolist()], [s.tolist() for s in sequences])


def test_ties_and_overlaps_go_from_the_left() -> None:
    aa = Merges(1, [(0, 0)])
    for n in range(12):
        (ids,) = aa.encode([np.zeros(n, np.int64)])
        assert ids.tolist() == [1] * (n // 2) + [0] * (n % 2)
    # (b, a) then (ba, a) go before (a, a): every junction within the run looks crossable from outside.
    check(2, [(1, 0), (2, 0), (0, 0)], [[0] * n for n in range(9)] + [[1] + [0] * n for n in range(9)])


def test_a_merge_that_a_later_one_reaches_first_waits() -> None:
    # y z is the lowest around it at first; w x makes the left of (wx, y), which ranks lower than (y, z).
    w, x, y, z = range(4)
    check(4, [(w, x), (4, y), (y, z)], [[w, x, y, z], [x, y, z], [w, x, y, z, w, x, y, z]])


def test_long_runs_do_not_take_a_round_each() -> None:
    merges = [(0, 0), (1, 1), (2, 2)]
    bpe = Merges(1, merges)
    (ids,) = bpe.encode([np.zeros(200_003, np.int64)])  # one by one: hours
    assert ids.tolist() == [3] * 25000 + [1, 0]


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    sequences = np.split(markov(rng, 20, 3000), np.sort(rng.integers(0, 3000, 60)))
    bpe = Merges(20, train_merges(sequences, 20, 120))
    whole = bpe.encode(sequences)
    for block in (1, 50):
        monkeypatch.setattr(bpe_ids, "BLOCK", block)
        assert all(np.array_equal(a, b) for a, b in zip(bpe.encode(sequences), whole, strict=True))
    assert all(np.array_equal(a, bpe.encode([s])[0]) for a, s in zip(whole, sequences, strict=True))


@pytest.mark.parametrize("num_symbols", [65_536, 1_200_000, 2**31 - 100])
def test_any_number_of_symbols(num_symbols: int) -> None:
    top = num_symbols - 1
    symbols = [top, 0xD800, top, 0xD800, 0xDFFF, 0x300, 0xAD, top, 0xD800, 0]
    check(num_symbols, [(top, 0xD800), (num_symbols, num_symbols)], [symbols, symbols[::-1], []])


def test_table_survives_collisions() -> None:
    rng = np.random.default_rng(1)
    pairs = np.array(random_merges(rng, 400, 5000))
    junctions, rank = Junctions(400, pairs), {tuple(p): r for r, p in enumerate(pairs.tolist())}
    left, right = rng.integers(0, 5400, (2, 50_000))
    left[:5000], right[:5000] = pairs.T
    direct, cross = junctions(left, right)
    assert direct.tolist() == [rank.get(p, NEVER) for p in zip(left.tolist(), right.tolist(), strict=True)]
    assert (cross <= direct).all()


def test_inputs_of_any_integer_type() -> None:
    bpe = Merges(3, [(1, 2)])
    for dtype in (np.uint8, np.int16, np.int32, np.uint64):
        assert bpe.encode([np.array([0, 1, 2], dtype)])[0].tolist() == [0, 3]
    assert bpe.encode([]) == []
    assert [len(x) for x in bpe.encode([np.array([]), np.array([1])])] == [0, 1]


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ([0, 3], "symbol 3 at 1 of sequence 1 is outside 0..2"),
        ([-1], "symbol -1"),
        ([0.5], "give integers"),
        ([[1, 2]], "give integers"),
    ],
)
def test_wrong_symbols_are_named(sequence: list[float], message: str) -> None:
    with pytest.raises(CodeRangeError, match=message):
        Merges(3, [(1, 2)]).encode([np.array([0, 1]), np.array(sequence)])


def test_wrong_ids_are_named() -> None:
    with pytest.raises(CodeRangeError, match=r"id 4 at 0 of sequence 0 is outside 0\.\.3"):
        Merges(3, [(1, 2)]).decode([np.array([4])])


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ([(0, 3)], "merge 0"),
        ([(0, 1), (-1, 0)], "merge 1"),
        ([(0, 1), (0, 1)], "twice"),
        ([(0, 1, 2)], "pairs|reshape"),
        ([("a", "b")], "pairs"),
        ([(i + 2, i + 2) if i else (0, 0) for i in range(40)], "spell more than"),
    ],
)
def test_hostile_merges_are_refused(merges: Pairs, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Merges(3, merges)


def round_trips(num_symbols: int, room: int, count: int, seed: int) -> None:
    """``count`` random and unit-like sequences, 0 to 20 symbols each."""
    rng = np.random.default_rng(seed)
    like = markov(rng, num_symbols, 200 * num_symbols)
    bpe = Merges(num_symbols, train_merges(np.split(like, 200), num_symbols, num_symbols + room))
    for _ in range(0, count, 10_000):
        cuts = np.cumsum(rng.integers(0, 21, 10_000))
        place = rng.integers(0, len(like) - 1, cuts[-1] // 500 + 1)
        real = like.take(place[:, None] + np.arange(500), mode="wrap").ravel()[: cuts[-1]]
        symbols = np.where(rng.random(cuts[-1]) < 0.2, rng.integers(0, num_symbols, cuts[-1]), real)
        sequences = np.split(symbols, cuts[:-1])
        ids = bpe.encode(sequences)
        back = bpe.decode(ids)
        assert [len(b) for b in back] == [len(s) for s in sequences]
        assert np.array_equal(np.concatenate(back), symbols)
        assert sum(map(len, ids)) < 0.8 * len(symbols)


def test_thousands_of_sequences_round_trip() -> None:
    round_trips(100, 400, 20_000, 0)


@pytest.mark.slow
@pytest.mark.parametrize("num_symbols", [100, 5000])
def test_a_million_sequences_round_trip(num_symbols: int) -> None:
    round_trips(num_symbols, 4 * num_symbols, 500_000, 1)

"""Patterns: each equals its slow reference and inverts exactly, for every K and T, batched, in numpy and torch."""

from __future__ import annotations

import doctest
import importlib
import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import CodectokError, CodeRangeError, FormatError
from codectok.llm.patterns import (
    Cell,
    CoarseFirst,
    Delay,
    Fill,
    Flatten,
    Grouped,
    MoshiStreams,
    MultiRate,
    PartialFlatten,
    Pattern,
    Sections,
    SuperTokens,
    audio_lm,
    from_dict,
    music_lm,
    parallel,
    to_dict,
)
from tests.llm.pattern_references import reference

MODULES = ["delay", "flatten", "sections", "grouped", "multirate", "moshi", "stages", "spec"]


@pytest.mark.parametrize("module", MODULES)
def test_the_grids_in_the_docstrings_are_what_the_code_makes(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"codectok.llm.patterns.{module}"))
    assert found.attempted > 0
    assert found.failed == 0


@st.composite
def patterns(draw: st.DrawFn, codebooks: int) -> Pattern:
    """Any pattern that arranges that many codebooks."""
    delays = st.lists(st.integers(0, 20), min_size=codebooks, max_size=codebooks).map(tuple)
    small = st.integers(0, 3)
    kind = draw(st.sampled_from(["delay", "flatten", "partial", "sections", "coarse", "grouped", "rates", "moshi"]))
    if kind == "delay":
        late, tail = draw(delays), draw(st.sampled_from(["extend", "truncate"]))
        if tail == "truncate":
            return Delay(late, draw(small), tail)
        return Delay(draw(st.sampled_from([None, late])), draw(small), tail, draw(st.booleans()))
    if kind == "flatten":
        return Flatten(draw(st.none() | st.permutations(range(codebooks)).map(tuple)))
    if kind == "partial":
        rises = draw(st.lists(st.booleans(), min_size=codebooks, max_size=codebooks))
        turns = tuple(int(n) for n in np.cumsum([0, *rises[1:]]))
        jumps = draw(st.lists(small, min_size=codebooks, max_size=codebooks))
        late = np.cumsum(jumps)[list(turns)]
        return PartialFlatten(turns, draw(st.sampled_from([None, tuple(late.tolist())])), draw(small))
    if kind == "sections":
        order = draw(st.permutations(range(codebooks)))
        cuts = sorted(draw(st.sets(st.integers(1, codebooks), max_size=4)) | {0, codebooks})
        groups = tuple(tuple(order[a:b]) for a, b in itertools.pairwise(cuts))
        return Sections(draw(st.sampled_from([None, groups])), draw(st.booleans()))
    if kind == "coarse":
        return CoarseFirst(draw(st.none() | delays.map(lambda d: d[1:])), draw(small), draw(st.booleans()))
    if kind == "grouped":
        return Grouped(draw(st.integers(1, 5)), draw(st.booleans()))
    if kind == "rates":
        levels = draw(st.lists(st.integers(0, 3), min_size=codebooks, max_size=codebooks))
        ranks = sorted(set(levels))
        return MultiRate(tuple(ranks.index(x) for x in levels))
    if codebooks < 2:
        return parallel(codebooks)
    return MoshiStreams(codebooks - 1, draw(small), draw(st.integers(-4, 4)), both_sides=False, ends=True).pattern


@given(st.data(), st.integers(1, 32), st.integers(0, 200), st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_pattern_equals_its_reference_and_inverts(data: st.DataObject, k: int, t: int, torched: bool) -> None:
    pattern = data.draw(patterns(k))
    codes = np.random.default_rng(k * 1000 + t).integers(0, 1024, (k, t))
    steps = pattern.apply(torch.from_numpy(codes) if torched else codes)
    want = np.array(reference(pattern, codes.tolist()), dtype=np.int64).reshape(pattern.streams(k), -1)
    np.testing.assert_array_equal(np.asarray(steps), want)
    assert pattern.length(t, k) == want.shape[1]
    kept = pattern.known_frames(t)
    back = pattern.inverse(steps, k, num_frames=t, sizes=[1024] * k)
    np.testing.assert_array_equal(np.asarray(back), codes[:, :kept])
    if not isinstance(pattern, Grouped):
        assert pattern.frames(want.shape[1], k) == t
        np.testing.assert_array_equal(np.asarray(pattern.inverse(steps, k)), codes[:, :kept])
    assert from_dict(json.loads(json.dumps(to_dict(pattern)))) == pattern
    assert hash(pattern) == hash(from_dict(to_dict(pattern)))


EXAMPLES = [
    (Delay(), 4),
    (Delay((0, 2, 1), lead=1, ends=True), 3),
    (Delay((0, 1, 1), tail="truncate"), 3),
    (Flatten(), 3),
    (PartialFlatten((0, 1, 1), (0, 2, 2)), 3),
    (Sections(((1,), (0, 2)), ends=True), 3),
    (CoarseFirst((0, 1)), 3),
    (Grouped(3), 2),
    (MultiRate.snac(), 7),
]


@pytest.mark.parametrize(("pattern", "k"), EXAMPLES, ids=str)
def test_a_batch_is_its_rows(pattern: Pattern, k: int) -> None:
    codes = torch.randint(0, 50, (2, 3, k, 9), generator=torch.Generator().manual_seed(0))
    steps = pattern.apply(codes, Fill.after(50))
    assert steps.dtype == codes.dtype
    for i in range(2):
        for j in range(3):
            assert torch.equal(steps[i, j], pattern.apply(codes[i, j], Fill.after(50)))
    back = pattern.inverse(steps, k, num_frames=9)
    assert torch.equal(back, codes[..., : pattern.known_frames(9)])
    np.testing.assert_array_equal(pattern.apply(codes.numpy().astype(np.int16), Fill.after(50)), steps.numpy())


def test_fill_may_differ_by_stream() -> None:
    fill = Fill(start=(10, 20), pad=(11, 21))
    assert Delay().apply(np.array([[1, 2], [3, 4]]), fill).tolist() == [[1, 2, 11], [20, 3, 4]]


def test_the_grid_is_the_index_table() -> None:
    grid = Delay((0, 1), ends=True).grid(2, 2)
    assert grid.tolist() == [[0, 1, Cell.END, Cell.PAD], [Cell.START, 2, 3, Cell.END]]


def test_token_ids_may_be_arranged_instead_of_codes() -> None:
    ids = np.array([[100, 101], [200, 201]])
    assert Flatten().apply(ids).tolist() == [[100, 200, 101, 201]]


def test_moshi_streams_join_and_split() -> None:
    rng = np.random.default_rng(0)
    for both in (False, True):
        layout = MoshiStreams(3, text_ahead=2, both_sides=both)
        text, own, other = rng.integers(0, 9, 5), rng.integers(0, 9, (3, 5)), rng.integers(0, 9, (3, 5))
        sides = (own, other) if both else (own,)
        joined = layout.join(text, *sides)
        assert len(joined) == len(layout.names) == len(layout.pattern.delays or ())
        back = layout.split(layout.pattern.inverse(layout.pattern.apply(joined), len(joined)))
        for a, b in zip(back, (text, own, other), strict=False):
            assert a is None or np.array_equal(a, b)
    with pytest.raises(FormatError, match="both sides"):
        MoshiStreams(3).join(text, own)
    with pytest.raises(FormatError, match="one frame for each text token"):
        MoshiStreams(3, both_sides=False).join(text, own[:, :4])


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 50))
@settings(max_examples=50, deadline=None)
def test_multirate_levels_and_rows_are_inverse(levels: list[int], frames: int) -> None:
    ranks = sorted(set(levels))
    pattern = MultiRate(tuple(ranks.index(x) for x in levels))
    given_levels = [np.arange(frames * pattern.slots.count(i)) + 1000 * i for i in range(len(ranks))]
    rows = pattern.rows(given_levels)
    for a, b in zip(pattern.levels(rows), given_levels, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(pattern.levels(torch.from_numpy(rows)), given_levels, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)


def test_multirate_of_step_audio() -> None:
    assert MultiRate.ratio(2, 3).slots == (0, 0, 1, 1, 1)
    with pytest.raises(FormatError, match="whole frames"):
        MultiRate.ratio(2, 3).rows([np.arange(4), np.arange(5)])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.randoms(use_true_random=False), st.integers(0, 20))
@settings(max_examples=50, deadline=None)
def test_super_tokens_are_exact(sizes: list[int], random: object, frames: int) -> None:
    order = list(range(len(sizes)))
    random.shuffle(order)  # type: ignore[attr-defined]
    cut = len(order) // 2
    fused = SuperTokens(tuple(sizes), tuple(g for g in (tuple(order[:cut]), tuple(order[cut:])) if g))
    codes = np.stack([np.random.default_rng(i).integers(0, n, frames) for i, n in enumerate(sizes)])
    once = fused.fuse(codes)
    assert (once < np.array(fused.sizes)[:, None]).all()
    np.testing.assert_array_equal(fused.split(once), codes)
    assert torch.equal(fused.split(fused.fuse(torch.from_numpy(codes))), torch.from_numpy(codes))


def test_audiolm_and_musiclm_orders() -> None:
    assert audio_lm(1, 2).groups == ((0,),)
    assert audio_lm(6, 2).groups == ((0,), (1, 2), (3, 4, 5))
    assert music_lm(5).groups == ((0, 1), (2, 3), (4,))


BAD = [
    (lambda: Delay((0, -1)), "0 or more"),
    (lambda: Delay(tail="cut"), "extend or truncate"),
    (lambda: Delay((0,), tail="truncate", ends=True), "no room"),
    (lambda: Delay((0, 1)).grid(3, 3), "2 delays for 3"),
    (lambda: Delay(tail="truncate").inverse(np.zeros((2, 4), int), 2), "name the delays"),
    (lambda: Flatten((0, 0)).grid(3, 2), "once"),
    (lambda: PartialFlatten((0, 2)), "count up from 0"),
    (lambda: PartialFlatten((0, 1, 1), (0, 1, 2)), "equal"),
    (lambda: Sections(((0,), (0, 1))).grid(2, 2), "once"),
    (lambda: CoarseFirst((1,)).grid(2, 3), "codebooks 1 to 2"),
    (lambda: Grouped(0), "1 or more"),
    (lambda: MultiRate((0, 2)), "levels"),
    (lambda: Flatten().grid(3, 0), "1 or more"),
    (lambda: Flatten().inverse(np.zeros((1, 7), int), 2), "cut"),
    (lambda: Flatten().inverse(np.zeros((2, 8), int), 2), r"\[..., 1, steps\]"),
    (lambda: Flatten().inverse(np.zeros((1, 8), int), 2, num_frames=3), "take 6 steps"),
    (lambda: Flatten().apply(np.zeros(3, int)), "expected"),
    (lambda: from_dict({"pattern": "braid"}), "no pattern 'braid': there are delay"),
    (lambda: from_dict({"pattern": "delay", "late": 1}), "pattern delay: unknown key 'late'"),
    (lambda: from_dict({"pattern": "grouped"}), "group"),
    (lambda: SuperTokens((2, 2), ((0,),)), "once"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[m for _, m in BAD])
def test_bad_input_is_an_error_with_a_remedy(make: object, message: str) -> None:
    with pytest.raises(CodectokError, match=message):
        make()  # type: ignore[operator]


def test_a_mark_where_a_code_belongs_is_an_error_never_a_code() -> None:
    steps = Delay().apply(np.array([[1, 2], [3, 4]]))
    steps[1, 2] = 1024  # as a model says end of audio
    with pytest.raises(CodeRangeError, match="1024 stands where a code of codebook 1 at frame 1"):
        Delay().inverse(steps, 2, sizes=(1024, 1024))
    steps[1, 2] = Cell.PAD
    with pytest.raises(CodeRangeError, match="codebook 1 at frame 1"):
        Delay().inverse(torch.from_numpy(steps), 2)

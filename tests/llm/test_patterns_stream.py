"""The streaming inverse equals the offline one under any chunking; ends, tails and cut sequences follow one rule."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import CodeRangeError, FormatError
from codectok.llm.patterns import (
    CoarseFirst,
    Delay,
    Fill,
    Flatten,
    Grouped,
    Pattern,
    Sections,
    StreamInverse,
    dia,
    musicgen,
)
from tests.llm.test_patterns import EXAMPLES, patterns

SIZE = 1024


def run(stream: StreamInverse, steps: np.ndarray, cuts: list[int]) -> torch.Tensor:
    edges = [0, *sorted(cuts), steps.shape[1]]
    return torch.cat([stream.push(steps[:, a:b]) for a, b in itertools.pairwise(edges)], 1)


@given(st.data(), st.integers(1, 32), st.integers(0, 120), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_chunking_equals_the_offline_inverse(data: st.DataObject, k: int, t: int, told: bool) -> None:
    pattern = data.draw(patterns(k))
    codes = np.random.default_rng(t).integers(0, SIZE, (k, t))
    steps = pattern.apply(codes, Fill.after(SIZE))
    known = t if told or (pattern.needs_length and not pattern.ends) else None
    stream = StreamInverse(pattern, k, sizes=(SIZE,) * k, fill=Fill.after(SIZE), num_frames=known)
    cuts = data.draw(st.lists(st.integers(0, steps.shape[1]), max_size=6))
    np.testing.assert_array_equal(run(stream, steps, cuts).numpy(), codes[:, : pattern.known_frames(t)])
    if pattern.ends or (told and pattern.known_frames(t) == t):
        assert stream.done
        assert stream.pending == 0


@given(st.data(), st.integers(1, 8), st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_a_cut_sequence_gives_its_complete_frames_and_counts_the_rest(data: st.DataObject, k: int, t: int) -> None:
    pattern = data.draw(patterns(k))
    codes = np.random.default_rng(t).integers(0, SIZE, (k, t))
    steps = pattern.apply(codes, Fill.after(SIZE))
    upto = data.draw(st.integers(0, steps.shape[1]))
    stream = StreamInverse(pattern, k, fill=Fill.after(SIZE), num_frames=t)
    found = stream.push(steps[:, :upto])
    grid = pattern.grid(t, k)[:, :upto]
    there = np.isin(np.arange(k * t).reshape(k, t), grid)
    complete = int(np.cumprod(there.all(0)).sum())
    np.testing.assert_array_equal(found.numpy(), codes[:, :complete])
    assert stream.pending == there.sum() - complete * k


def test_frames_come_as_early_as_they_can() -> None:
    codes = np.arange(12).reshape(3, 4)
    stream = StreamInverse(Delay(), 3)
    counts = [stream.push(Delay().apply(codes)[:, s : s + 1]).shape[1] for s in range(6)]
    assert counts == [0, 0, 1, 1, 1, 1]


def test_the_tail_of_a_delay_is_completed_after_the_first_end() -> None:
    pattern = Delay((0, 2), ends=True)
    steps = pattern.apply(np.array([[1, 2, 3], [4, 5, 6]]), Fill(9, 9, 7, 8))
    assert steps.tolist() == [[1, 2, 3, 7, 8, 8], [9, 9, 4, 5, 6, 7]]
    stream = StreamInverse(pattern, 2, sizes=(7, 7), fill=Fill(9, 9, 7, 8))
    assert stream.push(steps[:, :4]).tolist() == [[1, 2], [4, 5]]  # the first stream has ended, the second has not
    assert not stream.done
    assert stream.push(steps[:, 4:5]).tolist() == [[3], [6]]
    assert stream.done


def test_what_a_model_says_after_the_end_is_no_audio() -> None:
    pattern, fill = Delay((0, 1), ends=True), Fill(9, 9, 7, 8)
    steps = np.array([[1, 2, 7, 5, 9], [9, 4, 3, 6, 6]])  # codes and other ids go on after the end of the first stream
    for cuts in ([], [3], [1, 2, 3, 4]):
        stream = StreamInverse(pattern, 2, sizes=(7, 7), fill=fill)
        assert run(stream, steps, cuts).tolist() == [[1, 2], [4, 3]]
        assert stream.done
        assert stream.pending == 0


def test_a_mark_is_never_clipped_to_a_code() -> None:
    stream = StreamInverse(Delay(), 2, sizes=(1024, 1024), fill=Fill.all(1024))
    with pytest.raises(CodeRangeError, match="id 1025 stands where a code of codebook 0 at frame 0"):
        stream.push(np.array([[1025], [1024]]))
    ended = StreamInverse(Delay(), 2, sizes=(1024, 1024), fill=Fill.all(1024))
    assert ended.push(np.array([[5, 1024, 3], [1024, 6, 9]])).tolist() == [[5], [6]]


def test_code_zero_is_a_code() -> None:
    stream = StreamInverse(Flatten(), 2)
    assert stream.push(np.zeros((1, 5), int)).tolist() == [[0, 0], [0, 0]]
    assert stream.pending == 1


def test_section_ends_tell_the_length() -> None:
    pattern = Sections(((0,), (1, 2)), ends=True)
    codes = np.arange(9).reshape(3, 3)
    steps = pattern.apply(codes, Fill.all(99))
    stream = StreamInverse(pattern, 3, sizes=(99,) * 3, fill=Fill.all(99))
    for column in range(steps.shape[1]):
        stream.push(steps[:, column : column + 1])
        assert stream.num_frames == (None if column < 3 else 3)
    assert stream.done
    early = np.array([[0, 1, 99, 2, 99]])
    with pytest.raises(CodeRangeError, match="section that has 2 frames"):
        StreamInverse(pattern, 3, fill=Fill.all(99)).push(early)


@pytest.mark.parametrize("pattern", [Sections(), CoarseFirst()])
def test_sections_without_ends_need_the_length(pattern: Pattern) -> None:
    with pytest.raises(FormatError, match="give num_frames"):
        StreamInverse(pattern, 2)


def test_bad_use_is_an_error() -> None:
    with pytest.raises(FormatError, match=r"\[3, n\]"):
        StreamInverse(Delay(), 3).push(np.zeros((2, 4), int))
    with pytest.raises(FormatError, match="is a code of every codebook"):
        StreamInverse(Delay(), 2, sizes=(1024, 1024), fill=Fill.all(0))


def test_grouped_pads_tell_the_length() -> None:
    stream = StreamInverse(Grouped(4), 1)
    assert stream.push(Grouped(4).apply(np.arange(6)[None])).tolist() == [[0, 1, 2, 3, 4, 5]]
    assert stream.num_frames == 6


@pytest.mark.parametrize(("pattern", "k"), [*EXAMPLES, (dia(), 9), (musicgen(4, 2), 4)], ids=str)
def test_torch_steps(pattern: Pattern, k: int) -> None:
    codes = torch.arange(k * 6).reshape(k, 6)
    stream = StreamInverse(pattern, k, num_frames=6)
    assert torch.equal(stream.push(pattern.apply(codes)), codes[:, : pattern.known_frames(6)])

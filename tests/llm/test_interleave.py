"""Text and speech in turns, against loops that deal tokens out one by one."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import FormatError
from codectok.llm.sequence.interleave import (
    RATIOS,
    Word,
    deinterleave,
    interleave_by_ratio,
    interleave_by_words,
    ratio_places,
    read_ratio,
)
from codectok.llm.vocab.audio_vocab import AudioVocab


def dealt(text: list[int], frames: list[list[int]], n: int, m: int) -> list[int]:
    """The obvious way: take turns until both hands are empty."""
    out: list[int] = []
    text, frames = list(text), list(frames)
    while text or frames:
        out += text[:n]
        for frame in frames[:m]:
            out += frame
        text, frames = text[n:], frames[m:]
    return out


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 40), st.integers(0, 60), st.integers(1, 15), st.integers(1, 30), st.integers(1, 4))
def test_ratio_deals_as_the_loop_does_and_comes_apart_again(n_text: int, t: int, n: int, m: int, k: int) -> None:
    vocab = AudioVocab.create((8,) * k, 100)
    rng = np.random.default_rng(t)
    text, codes = rng.integers(0, 100, n_text), rng.integers(0, 8, (k, t))
    audio = vocab.flatten(vocab.ids(codes))
    ids = interleave_by_ratio(text, audio, n, m, k)
    assert ids.tolist() == dealt(text.tolist(), audio.reshape(-1, k).tolist(), n, m)
    back_text, back_codes, report = deinterleave(vocab, ids)
    assert back_text.tolist() == text.tolist()
    assert np.array_equal(back_codes.numpy(), codes)
    assert report.clean


def test_tail_rule_on_written_out_sequences() -> None:
    text, audio = np.array([1, 2, 3]), np.array([50, 60, 51, 61, 52, 62])  # three frames of two
    assert interleave_by_ratio(text, audio, 2, 1, 2).tolist() == [1, 2, 50, 60, 3, 51, 61, 52, 62]
    assert interleave_by_ratio(text, audio, 1, 5, 2).tolist() == [1, 50, 60, 51, 61, 52, 62, 2, 3]
    assert interleave_by_ratio(text, audio[:0], 1, 5, 2).tolist() == [1, 2, 3]
    assert [places.tolist() for places in ratio_places(3, 3, 2, 1, 2)] == [[0, 1, 4], [2, 5, 7]]
    with pytest.raises(FormatError, match="whole number of frames"):
        interleave_by_ratio(text, audio[:3], 1, 1, 2)


def test_ratios() -> None:
    assert read_ratio("13:26") == RATIOS["glm-4-voice"]
    assert read_ratio("ist-lm") == (1, 2)
    assert read_ratio("cosyvoice2") == (5, 15)
    for bad in ("13", "0:1", "1:-2", "a:b", "1:2:3", "²:1", "1.5:2"):
        with pytest.raises(FormatError, match="ratio"):
            read_ratio(bad)
    with pytest.raises(FormatError, match="1 or more"):
        ratio_places(1, 1, 0, 1)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 2), max_size=12), st.integers(0, 2**40), st.floats(1, 6))
def test_runs_of_words_cover_all_once_and_switch_kinds(gaps: list[float], seed: int, mean: float) -> None:
    starts = np.cumsum(gaps)
    words = [Word(f"w{i}", float(s), float(s) + 0.1) for i, s in enumerate(starts)]
    frames = int(np.ceil((starts[-1] if gaps else 0) * 12.5)) + 3
    runs = interleave_by_words(words, frames, Fraction(25, 2), seed=seed, mean_words=mean)
    assert runs == interleave_by_words(words, frames, 12.5, seed=seed, mean_words=mean)
    assert [i for run in runs for i in range(run.first, run.last)] == list(range(len(words)))
    assert [t for run in runs for t in range(run.start, run.stop)] == (list(range(frames)) if words else [])
    assert all(a.kind != b.kind for a, b in itertools.pairwise(runs))
    for run in runs[1:]:
        assert abs(run.start - words[run.first].start * 12.5) <= 0.5 + 1e-9


def test_seeds_and_bad_words() -> None:
    words = [Word(str(i), i / 10, i / 10 + 0.1) for i in range(200)]
    found = [interleave_by_words(words, 500, 25, seed=s, mean_words=4) for s in range(30)]
    assert len({tuple(runs) for runs in found}) == 30
    assert {runs[0].kind for runs in found} == {"text", "speech"}
    mean = np.mean([run.last - run.first for runs in found for run in runs])
    assert 3.5 < mean < 4.5
    for bad in ([Word("a", 1, 2), Word("b", 0, 1)], [Word("a", -1, 2)], [Word("a", 2, 1)], [Word("a", 30, 31)]):
        with pytest.raises(FormatError, match="word"):
            interleave_by_words(bad, 500, 25, seed=0)
    with pytest.raises(FormatError, match="times"):
        interleave_by_words([Word("a", float("nan"), 1)], 500, 25, seed=0)

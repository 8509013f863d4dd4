"""Error rates against a slow, obvious edit distance, and the rules of what counts as the same text."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codectok.metrics import MetricError
from codectok.metrics.bootstrap import bootstrap_ratio
from codectok.metrics.intelligibility import (
    Edits,
    character_edits,
    error_rate,
    normalise,
    word_edits,
)

pytest.importorskip("jiwer")


def distance(reference: tuple[str, ...], hypothesis: tuple[str, ...]) -> int:
    """Levenshtein's recursion, word for word."""

    @cache
    def d(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(d(i - 1, j) + 1, d(i, j - 1) + 1, d(i - 1, j - 1) + (reference[i - 1] != hypothesis[j - 1]))

    return d(len(reference), len(hypothesis))


sentences = st.lists(st.sampled_from(["a", "b", "cd", "é"]), max_size=7).map(" ".join)


@given(sentences, sentences)
def test_edits_are_the_fewest(reference: str, hypothesis: str) -> None:
    for edits, split in ((word_edits, str.split), (character_edits, list)):
        found = edits(reference, hypothesis)
        assert found.total == distance(tuple(split(reference)), tuple(split(hypothesis)))
        assert found.length == len(split(reference))
        # Whatever path was taken, it leads from one length to the other.
        assert found.length + found.insertions - found.deletions == len(split(hypothesis))


def test_the_kinds_of_edits() -> None:
    assert word_edits("a b c", "a x c d") == Edits(substitutions=1, insertions=1, length=3)
    assert word_edits("a b c", "b c") == Edits(deletions=1, length=3)
    assert character_edits("ab cd", "abcd") == Edits(deletions=1, length=5)


def test_an_empty_reference_counts_insertions_and_no_length() -> None:
    assert word_edits("", "two words") == Edits(insertions=2)
    assert word_edits("...", "") == Edits()
    assert error_rate([word_edits("", "two words"), word_edits("a b c d", "a b c d")]).mean == 0.5


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("  Hello,\n\tWORLD! ", "hello world"),
        ("Привет, МИР — это «тест»…", "привет мир это тест"),
        ("cafe\u0301 Élan", "café élan"),
        ("l'eau l\u2019eau", "l eau l eau"),
        ("Straße", "strasse"),
        ("\ufb01n a\u00adb \u200bc", "fin ab c"),
        ("e\u200d\u0301", "é"),
        ("3 $ + 4 %", "3 4"),
        ("Що робить?", "що робить"),
        ("дива\u0301н", "дива\u0301н"),
        ("!?", ""),
    ],
)
def test_normalise(text: str, same: str) -> None:
    assert normalise(text) == same


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_accents_and_short_words_count() -> None:
    assert word_edits("été", "ete").total == 1
    assert character_edits("Été!", "été").total == 0


def test_a_corpus_has_one_rate_not_a_mean_of_rates() -> None:
    edits = [Edits(substitutions=1, length=1), Edits(length=99)]
    assert error_rate(edits).mean == 0.01
    assert edits[0] + edits[1] == Edits(substitutions=1, length=100)


def test_the_interval_draws_whole_clips() -> None:
    # Errors in proportion to length: every draw has the same ratio, which drawing the two apart would not give.
    lengths = [1, 10, 100, 1000]
    interval = bootstrap_ratio([n / 10 for n in lengths], lengths)
    assert (interval.low, interval.mean, interval.high) == (
        pytest.approx(0.1),
        pytest.approx(0.1),
        pytest.approx(0.1),
    )


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng, hits = np.random.default_rng(0), 0
    for seed in range(100):
        lengths = rng.integers(5, 20, 60)
        errors = rng.binomial(lengths, 0.2)
        interval = bootstrap_ratio(errors, lengths, resamples=200, seed=seed)
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low <= 0.2 <= interval.high
    assert 88 <= hits <= 99


def test_intervals_repeat_and_one_clip_has_none() -> None:
    edits = [Edits(substitutions=i % 3, length=5) for i in range(10)]
    assert error_rate(edits) == error_rate(edits)
    assert error_rate(edits[:1]).low is None


def test_draws_without_any_reference_are_left_out() -> None:
    interval = bootstrap_ratio([1, 1], [0, 4])
    assert (interval.low, interval.high) == (0.25, 0.5)


@pytest.mark.parametrize("bad", [([], []), ([1], [0]), ([1, 2], [3]), ([np.nan], [1]), ([1, 1], [2, -1])])
def test_what_has_no_rate_is_an_error(bad: tuple[list[float], list[float]]) -> None:
    with pytest.raises(MetricError):
        bootstrap_ratio(*bad)

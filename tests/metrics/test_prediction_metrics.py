"""Metrics of predictions against scikit-learn, jiwer, sacrebleu and brute force."""

import warnings

import jiwer
import numpy as np
import pytest
import sacrebleu
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, roc_curve

from codectok.metrics import get_metric
from codectok.metrics.classification import accuracy, eer, f1, mindcf
from codectok.metrics.registry import MetricError
from codectok.metrics.text import bleu, cer, per, wer

PAIRS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde")), min_size=1, max_size=30)
TRIALS = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=40)
"""Few scores, so that most are tied."""
TEXTS = st.lists(st.tuples(*[st.lists(st.sampled_from(["ab", "c", "de"]), max_size=6)] * 2), min_size=1, max_size=8)


@given(PAIRS)
def test_accuracy_and_f1_are_scikit_learns(pairs):
    truth, said = zip(*pairs, strict=True)
    assert accuracy(truth, said) == pytest.approx(100 * accuracy_score(truth, said))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert f1(truth, said) == pytest.approx(100 * f1_score(truth, said, average="macro"))


def split_trials(trials):
    scores, same = zip(*trials, strict=True)
    assume(any(same) and not all(same))
    return np.array(scores, dtype=float), np.array(same)


@given(TRIALS)
def test_eer_is_where_the_roc_meets_the_diagonal(trials):
    scores, same = split_trials(trials)
    accepted, hits, _ = roc_curve(same, scores, drop_intermediate=False)
    # A fine walk along the curve: the least of the larger of both errors is where they meet.
    steps = np.linspace(0, len(accepted) - 1, 200 * len(accepted))
    far, hit = (np.interp(steps, np.arange(len(accepted)), v) for v in (accepted, hits))
    expected = np.maximum(far, 1 - hit).min()
    assert eer(scores, same) == pytest.approx(100 * expected, abs=0.6)


@given(TRIALS, st.sampled_from([0.01, 0.05, 0.5, 0.9]))
def test_mindcf_is_the_least_cost_over_every_threshold(trials, prior):
    scores, same = split_trials(trials)
    costs = []
    for threshold in [*scores, scores.max() + 1]:
        yes = scores >= threshold
        costs.append(prior * (~yes[same]).mean() + (1 - prior) * yes[~same].mean())
    assert mindcf(scores, same, prior) == pytest.approx(min(costs) / min(prior, 1 - prior))
    assert mindcf(scores, same, prior) <= 1 + 1e-12


def test_known_error_rates():
    assert eer([3, 2, 1, 0], [True, True, False, False]) == 0
    assert eer([0, 1, 2, 3], [True, True, False, False]) == 100
    assert eer([1, 1, 1, 1], [True, False, True, False]) == 50
    assert eer([4, 2, 3, 1], [True, True, False, False]) == 50
    # One of three missed at no false acceptance, then one of three accepted at no miss: they meet at a quarter ...
    scores, same = [6, 5, 3, 4, 2, 1], [True, True, True, False, False, False]
    assert eer(scores, same) == pytest.approx(100 / 3)
    # ... of a third where the two trials between have one score: a straight line from (0, 1/3) to (1/3, 0).
    assert eer([6, 5, 3, 3, 2, 1], same) == pytest.approx(100 / 6)
    assert mindcf([3, 2, 1, 0], [True, True, False, False]) == 0


@given(TRIALS)
def test_the_order_of_trials_and_the_scale_of_scores_do_not_matter(trials):
    scores, same = split_trials(trials)
    assert eer(scores[::-1], same[::-1]) == eer(scores, same) == eer(3 * scores + 7, same)


@given(TEXTS)
def test_error_rates_are_jiwers_over_the_corpus(texts):
    truth, said = ([" ".join(words) for words in column] for column in zip(*texts, strict=True))
    assume(any(truth))
    words = jiwer.process_words(truth, said)
    expected = 100 * (words.substitutions + words.insertions + words.deletions)
    expected /= words.hits + words.substitutions + words.deletions
    assert wer(truth, said) == pytest.approx(expected)
    assert per(truth, said) == pytest.approx(expected)
    assert cer(truth, said) == pytest.approx(100 * jiwer.cer(truth, said))


def test_phones_are_compared_as_written_words_are_not():
    assert per(["AH0 T"], ["AH1 T"]) == 50
    assert per(["A T"], ["a T"]) == 50
    assert wer(["A T!"], ["a t"]) == 0


def test_bleu_is_sacrebleus():
    truth = ["Das ist ein kleines Haus.", "Wir gehen heute ins Kino.", ""]
    said = ["Das ist ein Haus.", "Heute gehen wir ins Kino.", "nichts"]
    assert bleu(truth, said) == pytest.approx(sacrebleu.corpus_bleu(said, [truth]).score)
    assert bleu(truth[:2], truth[:2]) == pytest.approx(100)


@pytest.mark.parametrize(
    ("figure", "arguments"),
    [
        (accuracy, ([], [])),
        (f1, (["a"], [])),
        (eer, ([1, 2], [True, True])),
        (eer, ([1, float("nan")], [True, False])),
        (mindcf, ([1, 2], [False, False])),
        (mindcf, ([1, 2], [True, False], 1.5)),
        (wer, (["", " "], ["a", ""])),
        (cer, (["a"], [])),
        (bleu, ([], [])),
    ],
)
def test_what_has_no_figure_is_an_error(figure, arguments):
    with pytest.raises(MetricError):
        figure(*arguments)


def test_they_are_in_the_registry():
    assert get_metric("accuracy")(["a", "b"], ["a", "c"]) == 50
    assert get_metric("eer")([1, 0], [True, False]) == 0
    assert not get_metric("wer").higher_is_better
    for name in ("accuracy", "f1", "eer", "mindcf", "wer", "cer", "per", "bleu"):
        assert get_metric(name).kind == "corpus"

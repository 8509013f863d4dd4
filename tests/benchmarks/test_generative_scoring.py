"""Scores over many clips: failures are counted and never averaged in; corpus rates are of sums."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.contract import Clip
from benchmarks.tasks import TaskContext, scoring
from benchmarks.tasks.scoring import score_clips, score_heard, score_pairs
from codectok.metrics import MetricError, MetricUnavailable
from codectok.metrics.judged import Listener
from tests.metrics.test_judged import Told, clip

TRIPLES = [(f"c{i}", np.full(10, i / 8, np.float32), np.ones(10, np.float32)) for i in range(5)]


def value(reference, estimate, rate):
    """2, 4 and 9 of c0, c1, c3; an error of another kind for each of the others."""
    i = int(8 * reference[0])
    if i == 2:
        raise ZeroDivisionError("no frames")
    if i == 4:
        return float("nan")
    return {0: 2.0, 1: 4.0, 3: 9.0}[i]


def test_an_exception_in_one_clip_leaves_the_others_in_the_mean_and_one_in_the_failures():
    scored = score_pairs(["mel"], TRIPLES[:4], functions={"mel": value})
    (score,) = scored.scores
    assert (score.value, score.n, score.failures) == (5.0, 3, 1)
    assert scored.failures == {"c2": "mel: ZeroDivisionError: no frames"}
    assert [(i.clip, i.value, i.weight) for i in scored.items] == [("c0", 2.0, 1), ("c1", 4.0, 1), ("c3", 9.0, 1)]


def test_nan_is_a_failure_and_so_is_a_clip_that_came_to_nothing():
    scored = score_pairs(["mel", "stoi"], TRIPLES, functions={"mel": value, "stoi": value}, missing={"lost": "no file"})
    for score in scored.scores:
        assert (score.value, score.n, score.failures) == (5.0, 3, 3)
    assert set(scored.failures) == {"c2", "c4", "lost"}
    assert scored.failures["lost"] == "no file"


def test_all_failed_has_no_value():
    def broken(*_):
        raise MetricError("too short")

    scored = score_pairs(["mel"], TRIPLES, functions={"mel": broken})
    assert (scored.scores[0].value, scored.scores[0].n, scored.scores[0].failures) == (None, 0, 5)
    assert scored.items == ()


def test_a_missing_package_is_no_failure():
    def missing(*_):
        raise MetricUnavailable("pip install x")

    scored = score_pairs(["mel", "stoi"], TRIPLES[:2], functions={"mel": missing, "stoi": value}, missing={"l": "lost"})
    assert (scored.scores[0].value, scored.scores[0].n, scored.scores[0].failures) == (None, 0, 0)
    assert scored.notes == {"mel": "N.C.: pip install x"}
    assert scored.scores[1].n == 2


def test_dwer_is_of_the_corpus_and_names_its_judge(monkeypatch):
    judge = Listener(Told({0.1: "one", 0.2: "no", 0.3: "a b c d e f g h i", 0.4: "a b c d e f g h i"}))
    triples = [("x", clip(0.1), clip(0.2)), ("y", clip(0.3), clip(0.4)), ("z", clip(0.9), clip(0.9))]
    scored = score_heard(["dwer"], triples, judge, {"x": "en", "y": "en", "z": "en"})
    (score,) = scored.scores
    assert score.value == pytest.approx(10.0)
    assert (score.n, score.failures) == (2, 1)  # the judge knows no third text
    assert [(i.value, i.weight) for i in scored.items] == [(1.0, 1.0), (0.0, 9.0)]
    assert scored.notes["judge"] == "told"
    monkeypatch.setattr(scoring, "open_judge", lambda name, device: judge)
    clips = {name: Clip(name, "", "", language="en") for name in "xyz"}
    context = TaskContext(judge="told")
    merged = score_clips(["mel", "dcer"], triples[:2], clips, context)
    assert [s.metric for s in merged.scores] == ["mel", "dcer"]
    assert merged.notes["judge"] == "told"

"""Native code that crashes on a clip: that clip has no value and a reason, the others have theirs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.tasks.scoring import score_pairs
from codectok.metrics import compute, get_metric
from codectok.metrics.reconstruction import scores_of
from codectok.testing import voice
from tests.processes import functions

pesq = pytest.importorskip("pesq")
RATE = 16000


@pytest.fixture
def clips(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Three, of which PESQ crashes on the second."""
    monkeypatch.setattr(pesq, "pesq", functions.crash_where_loud)
    loud = voice(RATE, rate=RATE)
    return [0.5 * loud, loud / np.abs(loud).max(), 0.25 * loud]


def test_a_crash_is_counted_among_scores(clips: list[np.ndarray]) -> None:
    scores = scores_of(1, 1.0, ("pesq", "mel"))
    for clip in clips:
        scores.add(clip, clip, RATE)
    assert scores.values["pesq"] == {0: 2.5, 2: 2.5}
    assert scores.failed == {"pesq": 1, "mel": 0}
    assert len(scores.values["mel"]) == 3


def test_a_crash_is_named_in_a_benchmark(clips: list[np.ndarray]) -> None:
    found = score_pairs(["pesq", "mel"], [(f"clip-{i}", x, x) for i, x in enumerate(clips)])
    scores = {s.metric: s for s in found.scores}
    assert (scores["pesq"].value, scores["pesq"].n, scores["pesq"].failures) == (2.5, 2, 1)
    assert (scores["mel"].n, scores["mel"].failures) == (3, 0)
    assert found.failures == {"clip-1": "pesq: PESQ crashed on this clip: killed by signal 11, SIGSEGV"}


def test_pesq_of_a_long_clip_with_pauses_ends_no_run() -> None:
    """The C code has room for 50 utterances and writes past it: 60 kill its process, at the latest in its end."""
    rng = np.random.default_rng(0)
    word = np.concatenate([0.3 * voice(int(0.6 * RATE), rate=RATE), np.zeros(int(0.6 * RATE), np.float32)])
    reference = np.tile(word, 60)
    estimate = (reference + 0.01 * rng.standard_normal(len(reference))).astype(np.float32)
    values, failures = compute(("pesq",), reference, estimate, RATE)
    if values:
        assert 1 <= values["pesq"] <= 4.65
    else:
        assert "crashed on this clip" in failures["pesq"]
    short = slice(0, 10 * len(word))
    assert 1 <= get_metric("pesq")(reference[short], estimate[short], RATE) <= 4.65

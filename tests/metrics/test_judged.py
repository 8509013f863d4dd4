"""dWER and dCER: a judge that is told what to hear; cuts of long clips; a real judge where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from codectok import read_audio
from codectok.audio import resample
from codectok.metrics import MetricError, get_metric
from codectok.metrics.judged import Listener, cut_points

RATE = 16000
SPEECH = Path(__file__).parents[2] / "benchmarks/speech"


class Told:
    """Writes what stands under the clip's first sample."""

    name = "told"

    def __init__(self, texts):
        self.texts, self.heard = texts, []

    def transcribe(self, clips, rate, languages):
        self.heard += [(len(c), languages[0]) for c in clips]
        assert all(len(c) <= 30 * rate for c in clips)
        return [self.texts[round(float(c[0]), 3)] for c in clips]


def clip(value: float, seconds: float = 1.0) -> np.ndarray:
    return np.full(round(seconds * RATE), value, dtype=np.float32)


def test_rates_are_of_the_corpus_not_means_of_the_clips():
    listener = Listener(Told({0.1: "one", 0.2: "no", 0.3: "a b c d e f g h i", 0.4: "a b c d e f g h i"}))
    judged = [listener.compare(clip(0.1), clip(0.2), RATE, "en"), listener.compare(clip(0.3), clip(0.4), RATE, "en")]
    # 1 edit of 1 + 9 words; the mean of the clips' rates would be 50 %.
    assert get_metric("dwer")(judged) == pytest.approx(10.0)
    # "one" to "no": 2 edits of 3 characters; 17 characters of the other are right.
    assert get_metric("dcer")(judged) == pytest.approx(100 * 2 / 20)


def test_an_original_is_heard_once():
    judge = Told({0.1: "one", 0.2: "two", 0.3: "one"})
    listener = Listener(judge)
    listener.compare(clip(0.1), clip(0.2), RATE, "en")
    listener.compare(clip(0.1), clip(0.3), RATE, "en")
    assert len(judge.heard) == 3
    listener.compare(clip(0.1), clip(0.3), RATE, "fr")
    assert len(judge.heard) == 5  # another language, another text


def test_a_loop_is_flagged_and_stays_in_unless_the_original_loops():
    loop = "and so on " * 30
    listener = Listener(Told({0.1: "and so on", 0.2: loop}))
    found = listener.compare(clip(0.1), clip(0.2), RATE, "en")
    assert found.loop
    assert get_metric("dwer")([found]) == pytest.approx(100 * 87 / 3)
    with pytest.raises(MetricError, match="repeats itself on the original"):
        listener.compare(clip(0.2), clip(0.1), RATE, "en")


def test_what_is_heard_in_silence_counts():
    listener = Listener(Told({0.1: "one two", 0.0: ""}))
    assert get_metric("dwer")([listener.compare(clip(0.1), clip(0.0), RATE, "en")]) == 100.0


def test_long_clips_are_cut_where_the_original_is_quietest():
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(RATE * 70)
    for second in (24.0, 50.5):
        samples[round(second * RATE) : round((second + 0.3) * RATE)] *= 0.001
    cuts = cut_points(samples, RATE)
    assert [c / RATE for c in cuts] == pytest.approx([24.15, 50.65], abs=0.2)
    assert max(np.diff([0, *cuts, len(samples)])) <= 30 * RATE
    assert cut_points(samples[: 30 * RATE], RATE) == []


def test_both_clips_are_cut_at_the_same_places():
    judge = Told({0.1: "x", 0.2: "x", 0.3: "x"})
    original, other = clip(0.1, 40), clip(0.2, 40)
    original[25 * RATE : 26 * RATE] = 0.3  # the loudest second, with the only quiet place of the other in it
    other[round(25.2 * RATE) : round(25.8 * RATE)] = 0.0
    Listener(judge).compare(original, other, RATE, "en")
    lengths = [n for n, _ in judge.heard]
    assert lengths[:2] == lengths[2:]
    assert sum(lengths[:2]) == 40 * RATE


@pytest.mark.slow
def test_a_real_judge():
    folder = os.environ.get("CODECTOK_WHISPER")
    if not folder:
        pytest.skip("CODECTOK_WHISPER names no Whisper folder")
    from codectok.metrics.judged import open_judge

    speech = resample(*read_audio(SPEECH / "allison/0474-conf-getpin.opus"), RATE)
    listener = open_judge(folder)
    same = listener.compare(speech, speech, RATE, "en-US")
    noise = listener.compare(speech, np.random.default_rng(0).standard_normal(len(speech)) * 0.05, RATE, "en-US")
    assert same.words.total == 0
    assert same.words.length >= 3
    assert noise.words.total > 0

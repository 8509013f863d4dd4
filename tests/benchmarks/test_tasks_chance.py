"""Where chance lies, and how answers are gathered when one clip fails."""

import numpy as np
import torch

from benchmarks.contract import Clip, Example
from benchmarks.tasks.chance import class_chance
from benchmarks.tasks.task import answers
from codectok.metrics.classification import accuracy


def test_the_chance_interval_holds_95_in_100_guessers():
    rng = np.random.default_rng(1)
    train = [Clip(str(i), "", "s", "abcc"[i % 4]) for i in range(100)]
    test = [Clip(str(i), "", str(i % 15), "abc"[i % 3]) for i in range(90)]
    low, high = class_chance(train, test, accuracy)
    truth = [c.label for c in test]
    by_clip = [accuracy(truth, list(rng.choice(list("abc"), 90, p=[0.25, 0.25, 0.5]))) for _ in range(300)]
    by_speaker = []
    for _ in range(300):
        said = rng.choice(list("abc"), 15, p=[0.25, 0.25, 0.5])
        by_speaker.append(accuracy(truth, [str(said[int(c.speaker)]) for c in test]))
    assert np.mean([low <= s <= high for s in by_clip]) > 0.97
    assert 0.9 < np.mean([low <= s <= high for s in by_speaker]) < 0.995
    assert low <= accuracy(truth, ["c"] * 90) <= high


def test_a_batch_that_fails_is_tried_clip_by_clip():
    clips = [Clip(str(i), "", "s") for i in range(5)]
    examples = [Example(c, torch.zeros(1, 3, dtype=torch.int64)) for c in clips]
    calls = []

    def predict(part):
        calls.append(len(part))
        if any(e.clip.id == "3" for e in part):
            raise RuntimeError("this one")
        return [e.clip.id.upper() for e in part]

    found, failed = answers(predict, clips, examples, batch=5)
    assert found == {i: i for i in "0124"}
    assert failed == {"3": "RuntimeError: this one"}
    assert calls == [5, 1, 1, 1, 1, 1]

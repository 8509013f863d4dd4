"""Tiny clips, data sets and inputs for tests of generative tasks."""

from __future__ import annotations

from pathlib import Path

import soundfile

from benchmarks.contract import RATE, Budget, Clip, Dataset, Example, Mix, Split
from benchmarks.datasets import read_clip, read_targets
from benchmarks.inputs.spec import parse_spec
from benchmarks.inputs.tokenizers import TokenizerInput
from benchmarks.tasks import Assignment, TaskContext, get_task
from codectok.testing import voice
from tests.contract.subjects import SUBJECTS

SPEECH = Path(__file__).parents[2] / "benchmarks/speech"
BUDGET = Budget(steps=2, batch=2, rates=(1e-3,))
CHEAP = ("si_sdr", "mel")
MAKE = {s.name: s.make for s in SUBJECTS}


def opened(tokenizer, view):
    name = {"discrete": "tiny@k2", "continuous": "tiny:features", "quantized": "tiny:quantized@k2"}[view]
    return TokenizerInput(tokenizer, parse_spec(name))


def write_clips(folder):
    out = []
    for i in range(8):
        path = folder / f"{i}.wav"
        soundfile.write(path, voice(10000 + 700 * i, RATE, seed=i), RATE, "PCM_16")
        out.append(Clip(f"c{i}", str(path), f"s{i}", label="oh yes" if i % 2 else "no", language="en"))
    return out


def mixed(clips, kind):
    return [
        Clip(
            f"{c.id}-{kind}",
            c.path,
            c.speaker,
            language="en",
            mix=Mix(kind, 5.0, clips[(i + 1) % len(clips)].path if kind == "speaker" else "", seed=i),
        )
        for i, c in enumerate(clips)
    ]


def dataset(task, clips):
    return Dataset(f"toy-{task}", task, tuple(clips[:4]), tuple(clips[4:6]), {"test": tuple(clips[6:])}, ())


def examples(data, source, targets=True):
    def one(clip):
        samples = read_clip(clip)
        y = tuple(source.extract(list(read_targets(clip)))) if targets else ()
        return Example(clip, source.extract([samples])[0], y, len(samples))

    tests = {name: tuple(map(one, rows)) for name, rows in data.tests.items()}
    return Split(tuple(map(one, data.train)), tuple(map(one, data.valid)), tests)


def run(task, data, source, probe="", split=None, **options):
    if split is None:
        split = Split((), (), {}) if task == "resynthesis" else examples(data, source, task != "tts")
    sound = {"metrics": CHEAP} if task == "resynthesis" else {"metrics": CHEAP, "dim": 16}
    context = TaskContext(input=source, options=sound | options)
    return get_task(task).run(Assignment(data, source.info, split, probe, BUDGET, 0, context))

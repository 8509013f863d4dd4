"""A data set of tones and a task that trains nothing, put into the tables of this process (and of workers)."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.contract import Clip, Dataset, ItemScore, NotComputed, Outcome, Score
from benchmarks.datasets import DatasetEntry
from benchmarks.tasks.task import Task
from codectok import registry

ROOT = "FAKE_DATA"
"""Environment variable with the folder of the audio, which worker processes see too."""
CLIPS = 9


class FakeTask(Task):
    """Scores a hash of all that it is given; does what its options say on the way."""

    name, label, metrics, probes = "fake", "fake", ("accuracy",), ("linear", "ecapa")

    def _run(self, given):
        dataset, info, split, options = given.dataset, given.info, given.split, given.context.options
        if options.get("fail") == info.spec:
            raise RuntimeError("planted\nfailure")
        if options.get("nc") == info.spec:
            raise NotComputed("needs a package")
        if options.get("die") == info.spec:
            os.kill(os.getpid(), signal.SIGKILL)
        if options.get("burn"):
            block = bytearray(int(options["burn"] * 1e6))
            block[::4096] = b"x" * len(block[::4096])
            del block
        time.sleep(options.get("sleep", 0.0))
        digest = hashlib.sha256(f"{given.probe} {given.seed} {given.budget} {np.random.random()}".encode())  # noqa: NPY002
        for examples in (split.train, split.valid, *split.tests.values()):
            for e in examples:
                digest.update(f"{e.clip.id} {e.clip.label} {e.x.shape} {e.num_samples} {len(e.y)}".encode())
                digest.update(e.x.numpy().tobytes() + b"".join(y.numpy().tobytes() for y in e.y))
        value = int(digest.hexdigest()[:8], 16) / 2**32 * 100
        items = tuple(ItemScore("test", "accuracy", c.id, 1.0) for c in dataset.tests["test"])
        audio = {f"{dataset.tests['test'][0].id}": np.zeros(160, np.float32)} if self.generative else {}
        return Outcome((Score("accuracy", "test", value, 3),), items, notes={"said": "so"}, audio=audio)


class FakeGenerative(FakeTask):
    name, generative = "fake-generative", True


class FakeUntrained(FakeTask):
    name, trained, generative, probes = "fake-untrained", False, True, ()


def make_data(folder: Path) -> None:
    """Nine tones of 0.1 to 0.3 s in two formats."""
    for i in range(CLIPS):
        t = np.arange(1600 + 400 * i) / 16000
        soundfile.write(folder / f"{i}.wav", 0.3 * np.sin(2 * np.pi * (200 + 50 * i) * t), 16000)


def open_fake(name: str, root: Path | None) -> Dataset:
    folder = Path(os.environ[ROOT]) if root is None else root
    clips = tuple(Clip(f"c/{i}", str(folder / f"{i}.wav"), f"s{i}", f"label{i}") for i in range(CLIPS))
    if name == "fake-nc":
        raise NotComputed("no such audio here")
    return Dataset(name, "fake", clips[:4], clips[4:6], {"test": clips[6:]}, ("utterance-disjoint",), root=str(folder))


def install() -> None:
    for task in (FakeTask, FakeGenerative, FakeUntrained):
        registry.register("tasks", task.name)(task())
    for name, needs in (("fake", ""), ("fake-nc", ""), ("fake-far", "a folder that is far")):
        registry.register("datasets", name)(DatasetEntry(name, "fake", open_fake, needs))
    for name in ("fake-generative", "fake-untrained"):
        registry.register("datasets", name)(DatasetEntry(name, name, open_fake))


SETUP = "tests.benchmarks.fakes:install"

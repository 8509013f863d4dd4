"""The scheduler by itself: workers of a made-up pool finish in any order and die at any moment."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.corpus.job import ShardResult, TokenizeJob
from codectok.corpus.local import ShardWorker
from codectok.corpus.reading import measure, readers
from codectok.corpus.scheduler import SHARDS_AHEAD, Scheduler
from codectok.corpus.steps import BatchEncoder
from codectok.corpus.totals import Totals
from codectok.corpus.worker import WorkerTask
from codectok.items.item import Item
from codectok.processes import WAIT, Lost
from codectok.processes.work import Wait
from tests.corpus.tokenizers import Loudness

PER_SHARD = 5
JOB = TokenizeJob("", Loudness.fingerprint, 1, batch_seconds=0.5)


class MadeUpPool:
    """Does tasks in this process, in any order; dies when it likes, and always on ``deadly`` items."""

    def __init__(self, workers: int, seed: int, death_rate: float = 0.0, deadly: frozenset[str] = frozenset()) -> None:
        self.tasks: list[list[WorkerTask]] = [[] for _ in range(workers)]
        self.chance, self.death_rate, self.deadly = random.Random(seed), death_rate, deadly

    def __len__(self) -> int:
        return len(self.tasks)

    def run(self, tasks: Iterator[WorkerTask | Wait]) -> Iterator[tuple[WorkerTask, Any]]:
        held: WorkerTask | None = None
        while True:
            while held is None or self.give(held):
                held = next(tasks, None)  # type: ignore[assignment]
                if held is WAIT or held is None:
                    held = None
                    break
            if not any(self.tasks):
                return
            yield from self.end_one()

    def give(self, task: WorkerTask) -> bool:
        free = [t for t in self.tasks if len(t) < (1 if task.deaths else 2) and not any(x.deaths for x in t)]
        if free:
            self.chance.choice(free).append(task)
        return bool(free)

    def end_one(self) -> Iterator[tuple[WorkerTask, Any]]:
        tasks = self.chance.choice([t for t in self.tasks if t])
        task = tasks[0]
        kills = task.kind != "measure" and any(item.id in self.deadly for item in task.items)
        if kills or (not task.deaths and self.chance.random() < self.death_rate):
            dead = tasks[:]
            tasks.clear()
            for lost in dead:
                yield lost, Lost("killed by signal 9")
            return
        tasks.pop(0)
        if task.kind == "measure":
            yield task, measure(task.items)
            return
        with readers() as pool:
            encoder = BatchEncoder(Loudness(), JOB.num_codebooks, JOB.dedup, pool)
            yield task, encoder.finish(encoder.begin(task.items, task.kind == "stream"))


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """Of known and unknown lengths, some of them not there."""
    folder = tmp_path_factory.mktemp("audio")
    found = []
    for i in range(23):
        path = folder / f"{i}.wav"
        if i % 7 != 3:
            soundfile.write(path, np.random.default_rng(i).normal(size=400 + 900 * (i * 5 % 9)) * 0.1, 8000)
        found.append(Item(str(i), str(path), duration=0.05 if i % 3 == 0 else None))
    return found


def shards(items: list[Item]) -> Iterator[tuple[int, list[Item], str]]:
    for start in range(0, len(items), PER_SHARD):
        yield start // PER_SHARD, items[start : start + PER_SHARD], f"hash {start}"


def run(pool: MadeUpPool, items: list[Item], totals: Totals | None = None) -> dict[int, tuple[str, ShardResult]]:
    scheduler = Scheduler(pool, Loudness(), JOB.batch_seconds, shards(items), totals or Totals(len(items)))  # type: ignore[arg-type]
    return {number: (digest, result) for number, digest, result in scheduler.run()}


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(), st.sampled_from([0.0, 0.3]))
def test_any_order_and_any_death_give_what_one_process_gives(
    items: list[Item], workers: int, seed: int, death_rate: float
) -> None:
    steps: list[int] = []
    totals = Totals(len(items), lambda done, total: steps.append(done))
    found = run(MadeUpPool(workers, seed, death_rate), items, totals)
    for number, part, digest in shards(items):
        alone = ShardWorker(JOB, Loudness()).tokenize(part)
        assert found[number][0] == digest
        assert found[number][1].rows == alone.rows
        assert found[number][1].errors == alone.errors
        assert found[number][1].timing["audio_seconds"] == alone.timing["audio_seconds"]
    assert steps == sorted(steps)
    assert steps[-1] == len(items)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(), st.frozensets(st.integers(0, 22).map(str), max_size=4))
def test_only_what_kills_is_given_up(items: list[Item], workers: int, seed: int, deadly: frozenset[str]) -> None:
    found = run(MadeUpPool(workers, seed, 0.1, deadly), items)
    errors = [e for number in sorted(found) for e in found[number][1].errors]
    assert {e.id for e in errors if e.kind == "WorkerDied"} == deadly
    done = [key for number in sorted(found) for key, _ in found[number][1].rows]
    assert done == [i.id for i in items if i.id not in {e.id for e in errors}]
    assert {e.id for e in errors if e.kind != "WorkerDied"} == {str(i) for i in range(23) if i % 7 == 3} - deadly


def test_few_shards_are_in_flight(items: list[Item]) -> None:
    many = [Item(f"{n}-{item.id}", item.path) for n in range(20) for item in items]
    begun = 0

    def watched() -> Iterator[tuple[int, list[Item], str]]:
        nonlocal begun
        for shard in shards(many):
            begun += 1
            yield shard

    pool = MadeUpPool(2, 0)
    ended = 0
    scheduler = Scheduler(pool, Loudness(), JOB.batch_seconds, watched(), Totals(len(many)))  # type: ignore[arg-type]
    for _ in scheduler.run():
        ended += 1
        assert begun - ended <= SHARDS_AHEAD + len(pool)
    assert ended == begun == -(-len(many) // PER_SHARD)

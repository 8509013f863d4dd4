"""Which worker does what next: shards are measured, planned, and handed out batch by batch.

A few shards are in flight at a time, so memory does not grow with the corpus. A batch whose worker dies is done once
more, alone in a worker; then item by item; an item that kills its worker again is recorded as failed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from codectok.corpus.job import ShardResult, shard_result
from codectok.corpus.plan import plan
from codectok.corpus.reading import Failure
from codectok.corpus.steps import BatchDone, Outcome
from codectok.corpus.totals import Totals
from codectok.corpus.worker import WorkerTask
from codectok.items.item import Item
from codectok.items.sources import describe
from codectok.processes import WAIT, Inline, Lost, Pool, Raised
from codectok.processes.work import Wait
from codectok.tokenizer import Tokenizer

Shard = tuple[int, list[Item], str]
"""Its number, its items and their sha256."""
Finished = tuple[int, str, ShardResult]
"""A shard's number, the sha256 of its items, and what became of them."""

MEASURED = 64
"""Items whose lengths one task looks up."""
SHARDS_AHEAD = 2
"""Shards in flight beyond one for each worker: what bounds memory."""
DEATHS = 2
"""Of workers, after which a task is divided, or its only item given up."""


@dataclass
class _Open:
    """A shard in flight."""

    items: list[Item]
    digest: str
    lengths: dict[int, float] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=lambda: {"read_seconds": 0.0, "encode_seconds": 0.0})


class Scheduler:
    """Runs shards through a pool.

    Args:
        pool: of workers that do :class:`~codectok.corpus.worker.Encode`.
        tokenizer: the one that they have.
        batch_seconds: most audio in one batch.
        shards: what to do; read a little ahead of what is being done.
        totals: told how far it is.
    """

    def __init__(
        self,
        pool: Pool[WorkerTask, Any] | Inline[WorkerTask, Any],
        tokenizer: Tokenizer,
        batch_seconds: float,
        shards: Iterator[Shard],
        totals: Totals,
    ) -> None:
        self._pool, self._tokenizer, self._batch_seconds = pool, tokenizer, batch_seconds
        self._shards, self._totals = shards, totals
        self._open: dict[int, _Open] = {}
        self._to_measure: deque[WorkerTask] = deque()
        self._waiting: deque[WorkerTask] = deque()
        self._exhausted = False

    def run(self) -> Iterator[Finished]:
        """Yield shards as they are finished.

        Raises:
            CodectokError: workers cannot begin, or no item can succeed.
        """
        for task, found in self._pool.run(self._tasks()):
            self._totals.tick()
            if isinstance(found, Raised):
                raise found.error
            if isinstance(found, Lost):
                task.deaths += 1
                found = self._retry(task, found)
                if found is None:
                    continue
            if task.kind == "measure":
                lengths, seconds = found
                self._open[task.shard].timing["read_seconds"] += seconds
                self._measured(task.shard, dict(zip(task.indices, lengths, strict=True)))
            else:
                yield from self._encoded(task, found)

    def _tasks(self) -> Iterator[WorkerTask | Wait]:
        while True:
            self._open_shards()
            # First of all: what is being measured will be work when the batches that wait are done.
            if queue := self._to_measure or self._waiting:
                self._totals.tick()
                yield queue.popleft()
            elif self._open:
                yield WAIT
            else:
                return

    def _open_shards(self) -> None:
        enough = 2 * len(self._pool)
        most = SHARDS_AHEAD + len(self._pool)
        while not self._exhausted and len(self._to_measure) + len(self._waiting) < enough and len(self._open) < most:
            shard = next(self._shards, None)
            if shard is None:
                self._exhausted = True
                return
            number, items, digest = shard
            self._open[number] = _Open(items, digest)
            known = {i: item.duration for i, item in enumerate(items) if item.duration is not None}
            unknown = [i for i in range(len(items)) if i not in known]
            for start in range(0, len(unknown), MEASURED):
                part = unknown[start : start + MEASURED]
                self._to_measure.append(WorkerTask("measure", number, part, [items[i] for i in part]))
            self._measured(number, known)

    def _measured(self, number: int, lengths: dict[int, float]) -> None:
        """Plan a shard as soon as all its lengths are known."""
        shard = self._open[number]
        shard.lengths |= lengths
        if len(shard.lengths) < len(shard.items):
            return
        ordered = [shard.lengths[i] for i in range(len(shard.items))]
        for batch in plan(ordered, self._batch_seconds, causal=self._tokenizer.causal):
            items = [shard.items[i] for i in batch.indices]
            self._waiting.append(WorkerTask("stream" if batch.streamed else "encode", number, batch.indices, items))

    def _encoded(self, task: WorkerTask, done: Any) -> Iterator[Finished]:
        shard = self._open[task.shard]
        shard.outcomes |= dict(zip(task.indices, done.outcomes, strict=True))
        shard.timing["read_seconds"] += done.read_seconds
        shard.timing["encode_seconds"] += done.encode_seconds
        self._totals.told(len(done.outcomes), [o for o in done.outcomes if isinstance(o, Failure)])
        if len(shard.outcomes) == len(shard.items):
            del self._open[task.shard]
            ordered = [shard.outcomes[i] for i in range(len(shard.items))]
            yield task.shard, shard.digest, shard_result(shard.items, ordered, self._tokenizer, shard.timing)

    def _retry(self, task: WorkerTask, death: Lost) -> Any:
        """Have a task done again that a worker died with; what came of it, if it is to be given up."""
        if task.deaths < DEATHS:
            self._waiting.appendleft(task)
            return None
        if len(task.items) > 1:
            # Each has died once with its batch, and has one more chance by itself.
            for i, item in reversed(list(zip(task.indices, task.items, strict=True))):
                self._waiting.appendleft(WorkerTask(task.kind, task.shard, [i], [item], DEATHS - 1))
            return None
        if task.kind == "measure":
            return [math.inf], 0.0
        message = (
            f"{describe(task.items[0])}: the worker process died twice on it ({death.reason}), of too little memory or "
            "of what is in the file: leave it out, or give fewer --workers"
        )
        return BatchDone([Failure("WorkerDied", message)])

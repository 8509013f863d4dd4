"""Worker processes as the main process sees them: who has which task, who died, who takes his place.

The standard library's pools are not used: when one of their workers dies, all of them end, and none tells of what.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe, connection
from types import TracebackType
from typing import Any, Generic

from codectok.processes import child
from codectok.processes.settings import context, starting, warm_up
from codectok.processes.work import Lost, R, Raised, StartError, T, Wait, Work, ended

PATIENCE = 1.0
"""Seconds that workers have to end by themselves."""


@dataclass
class _Worker(Generic[T]):
    slot: int
    process: Any
    pipe: connection.Connection
    started: float
    ready: bool = False
    tasks: dict[int, T] = field(default_factory=dict)


class Pool(Generic[T, R]):
    """Worker processes, one for each of ``works``, started when there are tasks for them, replaced when they die.

    Args:
        works: what each worker does.
        ahead: tasks that a worker has at a time; what it does not do yet it may begin.
        heard: called with (task, share of it that is done).
        alone: whether a worker that has this task gets no other, as one that killed a worker should be.
        preload: modules that every worker needs, imported once.
        nested: workers start processes of their own.
    """

    def __init__(
        self,
        works: Sequence[Work[T, R]],
        *,
        ahead: int = 1,
        heard: Callable[[T, float], None] | None = None,
        alone: Callable[[T], bool] = lambda task: False,
        preload: Sequence[str] = ("torch",),
        nested: bool = False,
    ) -> None:
        self._payloads = [pickle.dumps(work) for work in works]
        self._slots = deque(range(len(works)))
        self._ahead, self._heard, self._alone, self._nested = ahead, heard, alone, nested
        self._preload = preload
        self._held: deque[T] = deque()
        self._workers: list[_Worker[T]] = []
        self._numbers = 0
        self._stillborn = 0
        self.startup_seconds = 0.0

    def __len__(self) -> int:
        return len(self._workers) + len(self._slots)

    def __enter__(self) -> Pool[T, R]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self, number: int) -> None:
        """Start so many workers now, and wait for the first.

        Raises:
            StartError: workers die as they start.
            Exception: what opening the work raised.
        """
        while self._slots and len(self._workers) < number:
            self._start()
        while not any(w.ready for w in self._workers):
            for _ in self._hear():
                pass

    def run(self, tasks: Iterable[T | Wait]) -> Iterator[tuple[T, R | Lost | Raised]]:
        """Yield (task, what came of it) as tasks end.

        Args:
            tasks: asked for the next one when a worker could take it. One that gives ``WAIT`` is asked again when
                something has ended. A task that was lost may be given again.

        Raises:
            StartError: workers die as they start.
            Exception: what opening the work raised.
        """
        feed, more = iter(tasks), True
        while True:
            while more and len(self._held) <= self._unready():
                try:
                    task = next(feed)
                except StopIteration:
                    more = False
                    break
                if isinstance(task, Wait):
                    break
                self._held.append(task)
                self._hand_out()
            self._hand_out()
            while self._slots and len(self._held) > sum(not w.ready for w in self._workers):
                self._start()
            if not self._held and not any(w.tasks for w in self._workers):
                if more:
                    raise RuntimeError("the next task waits for results, and nothing is being done")
                return
            yield from self._hear()

    def close(self) -> None:
        """End all workers, whatever they are doing."""
        for w in self._workers:
            w.pipe.close()
        end = time.monotonic() + PATIENCE
        for w in self._workers:
            w.process.join(max(0.0, end - time.monotonic()))
            if w.process.is_alive():
                w.process.kill()
        for w in self._workers:
            w.process.join()
        self._workers = []

    def _unready(self) -> int:
        return sum(not w.ready for w in self._workers) + len(self._slots)

    def _hand_out(self) -> None:
        while self._held and self._give(self._held[0]):
            self._held.popleft()

    def _give(self, task: T) -> bool:
        """Hand a task to the worker that has the fewest; False if all have enough."""
        free = [w for w in self._workers if w.ready and not any(self._alone(t) for t in w.tasks.values())]
        chosen = min(free, key=lambda w: len(w.tasks), default=None)
        if chosen is None or len(chosen.tasks) >= (1 if self._alone(task) else self._ahead):
            return False
        self._numbers += 1
        chosen.tasks[self._numbers] = task
        with contextlib.suppress(OSError):  # it died: the pipe's end says so
            chosen.pipe.send((self._numbers, task))
        return True

    def _hear(self) -> Iterator[tuple[T, R | Lost | Raised]]:
        """Wait for something to happen."""
        for pipe in connection.wait([w.pipe for w in self._workers]):
            worker = next(w for w in self._workers if w.pipe is pipe)
            try:
                kind, number, value = worker.pipe.recv()
            except (EOFError, OSError):
                yield from self._bury(worker)
                continue
            if kind == child.READY:
                worker.ready, self._stillborn = True, 0
                self.startup_seconds = max(self.startup_seconds, time.perf_counter() - worker.started)
            elif kind == child.REFUSED:
                raise value
            elif kind == child.SHARE:
                if self._heard is not None:
                    self._heard(worker.tasks[number], value)
            else:
                yield worker.tasks.pop(number), value

    def _start(self) -> None:
        slot = self._slots.popleft()
        started = time.perf_counter()
        ours, theirs = Pipe()
        with starting():
            warm_up(self._preload)
            environment = dict(os.environ)
            process = context().Process(  # type: ignore[attr-defined]
                target=child.serve,
                args=(theirs, self._payloads[slot], environment),
                daemon=not self._nested,
                name=f"codectok-worker-{slot}",
            )
            process.start()
        theirs.close()  # so that a worker's death ends the pipe
        self._workers.append(_Worker(slot, process, ours, started))

    def _bury(self, dead: _Worker[T]) -> Iterator[tuple[T, Lost]]:
        dead.pipe.close()
        dead.process.join()
        self._workers.remove(dead)
        reason = ended(dead.process.exitcode)
        if not dead.ready:
            self._stillborn += 1
            if self._stillborn > 1 and not any(w.ready for w in self._workers):
                raise StartError(
                    f"worker processes die as they start ({reason}): give fewer --workers if memory is short; in a "
                    'script, make the call under `if __name__ == "__main__":`, or with workers=1'
                )
        if dead.ready or self._stillborn <= 1:  # where memory is short, the others go on without it
            self._slots.append(dead.slot)
        for task in dead.tasks.values():
            yield task, Lost(reason)

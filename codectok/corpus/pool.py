"""Worker processes as the main process sees them: who has which task, who died, who takes his place."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import Any

from codectok.corpus import worker
from codectok.errors import CodectokError
from codectok.items.item import Item

AHEAD = 2
"""Tasks that a worker has at a time: one with the model, one being read."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class StartError(CodectokError):
    """A worker that cannot begin; ``kind`` is the class of its error."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class Task:
    """Items for one worker.

    Attributes:
        kind: "measure", "encode" or "stream".
        shard: that the items belong to.
        indices: of the items in it.
        items: themselves.
        deaths: of workers that had this task.
    """

    kind: str
    shard: int
    indices: Sequence[int]
    items: list[Item]
    deaths: int = 0


@dataclass
class _Worker:
    slot: int
    process: Any
    pipe: connection.Connection
    started: float
    ready: bool = False
    tasks: dict[int, Task] = field(default_factory=dict)


class Pool:
    """Workers, one for each payload, replaced when they die.

    Args:
        payloads: what each is given to begin with; see :func:`codectok.corpus.worker.main`.
        processes: that read audio for each; 0 for a thread in it.
    """

    def __init__(self, payloads: Sequence[bytes], processes: int = 0) -> None:
        self._payloads, self._processes = payloads, processes
        self._ahead = AHEAD if not processes else 2 * AHEAD
        self._numbers = 0
        self._stillborn = 0
        self.startup_seconds = 0.0
        self._workers: list[_Worker] = []
        for slot in range(len(payloads)):
            self._start(slot)

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def pids(self) -> list[int]:
        """Of the workers."""
        return [w.process.pid for w in self._workers]

    def give(self, task: Task) -> bool:
        """Hand a task to the worker that has the fewest; False if all have enough.

        A task that a worker died with is done alone, so that it is known what kills.
        """
        free = [w for w in self._workers if w.ready and not any(t.deaths for t in w.tasks.values())]
        chosen = min(free, key=lambda w: len(w.tasks), default=None)
        if chosen is None or len(chosen.tasks) >= (1 if task.deaths else self._ahead):
            return False
        self._numbers += 1
        chosen.tasks[self._numbers] = task
        with contextlib.suppress(OSError):  # it died: the pipe's end says so
            chosen.pipe.send((self._numbers, task.kind, task.items))
        return True

    def wait_until_one_is_ready(self) -> None:
        """Wait for the first worker.

        Raises:
            StartError: workers cannot begin.
        """
        while not any(w.ready for w in self._workers):
            for _ in self.wait():
                pass

    def wait(self) -> Iterator[tuple[Task, Any]]:
        """Wait for something to happen; yields finished tasks with what came of them, or a ``Death`` for each lost one.

        Raises:
            StartError: workers cannot begin.
            CodectokError: no item can succeed.
        """
        for pipe in connection.wait([w.pipe for w in self._workers]):
            found = next(w for w in self._workers if w.pipe is pipe)
            try:
                message = found.pipe.recv()
            except (EOFError, OSError):
                yield from self._bury(found)
                continue
            if message[0] == worker.READY:
                found.ready, self._stillborn = True, 0
                self.startup_seconds = max(self.startup_seconds, time.perf_counter() - found.started)
            elif message[0] == worker.REFUSED:
                raise StartError(*message[1:])
            elif message[0] == worker.FATAL:
                raise CodectokError(message[1])
            else:
                yield found.tasks.pop(message[0]), message[1]

    def close(self) -> None:
        """End all workers, whatever they are doing."""
        for w in self._workers:
            w.pipe.close()
        for w in self._workers:
            w.process.join(2)
            if w.process.is_alive():
                w.process.kill()
                w.process.join()
        self._workers = []

    def _start(self, slot: int) -> None:
        started = time.perf_counter()
        ours, theirs = multiprocessing.Pipe()
        arguments = (theirs, self._payloads[slot], self._processes)
        process = multiprocessing.get_context("spawn").Process(
            target=worker.main, args=arguments, daemon=not self._processes, name=f"codectok-worker-{slot}"
        )
        with _settings_of_workers():
            process.start()
        theirs.close()  # so that a worker's death ends the pipe
        self._workers.append(_Worker(slot, process, ours, started))

    def _bury(self, dead: _Worker) -> Iterator[tuple[Task, Any]]:
        dead.pipe.close()
        dead.process.join()
        self._workers.remove(dead)
        code = dead.process.exitcode
        reason = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
        if not dead.ready:
            self._stillborn += 1
            if self._stillborn > 1 and not any(w.ready for w in self._workers):
                raise StartError("WorkerDied", _no_start(reason))
        if dead.ready or self._stillborn <= 1:  # where memory is short, the others go on without it
            self._start(dead.slot)
        for task in dead.tasks.values():
            task.deaths += 1
            yield task, Death(reason)


@dataclass(frozen=True)
class Death:
    """Of a worker, in words."""

    reason: str


@contextlib.contextmanager
def _settings_of_workers() -> Iterator[None]:
    """A child takes over the environment and the signals that it is started with.

    Numeric libraries get one thread each; Ctrl-C, which a terminal sends to all, is the main process's to answer.
    """
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    try:
        yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, signal.SIG_DFL if handler is None else handler)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _no_start(reason: str) -> str:
    return (
        f"worker processes die as they start ({reason}): give fewer --workers if memory is short; in a script, call "
        'tokenize_corpus under `if __name__ == "__main__":`, or with workers=1'
    )

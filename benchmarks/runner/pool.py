"""Jobs in worker processes, each on one thread; a worker that dies costs the job it had, not the others."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

J = TypeVar("J")
R = TypeVar("R")
Report = Callable[[float], None]
"""Called by a job with the share of it that is done, 0 to 1."""
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Crash:
    """What comes of a job whose worker died."""

    reason: str


def run_jobs(
    function: Callable[[J, Report], R],
    jobs: Sequence[J],
    workers: int,
    *,
    after: int = 0,
    setup: str = "",
    report: Callable[[int, float], None] | None = None,
) -> Iterator[tuple[int, R | Crash]]:
    """Yield (number of the job, result) as jobs end.

    Args:
        function: of a module, called with a job and a way to report; what it raises ends its worker.
        jobs: picklable; begun in this order.
        workers: processes; 0 runs the jobs in this one.
        after: jobs from this number on begin when all before it have ended.
        setup: "module:function" that each worker calls first.
        report: called with (number of the job, share done).
    """
    tell = report or (lambda number, share: None)
    if workers == 0:
        with _one_thread_here():
            for number, job in enumerate(jobs):
                yield number, function(job, lambda share, n=number: tell(n, share))  # type: ignore[misc]
        return
    waiting = deque(enumerate(jobs))
    crew: list[_Worker[J, R]] = []
    try:
        with _environment():
            while waiting or any(w.number is not None for w in crew):
                crew = [w for w in crew if w.process.is_alive() or w.number is not None]
                idle = sum(w.number is None for w in crew)
                while len(crew) < workers and len(waiting) > idle:
                    crew.append(_Worker(function, setup))
                    idle += 1
                for worker in crew:
                    early = any(w.number is not None and w.number < after for w in crew)
                    if worker.number is None and waiting and not (early and waiting[0][0] >= after):
                        worker.give(*waiting.popleft())
                ready = wait([w.pipe for w in crew if w.number is not None])
                for worker in [w for w in crew if w.pipe in ready]:
                    at, (kind, value) = worker.number, worker.hear()
                    assert at is not None
                    if kind == "share":
                        tell(at, value)
                    else:
                        yield at, value
    finally:
        for worker in crew:
            worker.process.terminate()
        for worker in crew:
            worker.process.join()


class _Worker(Generic[J, R]):
    """One process and the number of the job that it has."""

    def __init__(self, function: Callable[[J, Report], R], setup: str) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.number: int | None = None
        self.process = context.Process(target=_serve, args=(theirs, function, setup), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, number: int, job: J) -> None:
        self.number = number
        with contextlib.suppress(OSError):  # one that has died is noticed when it is heard
            self.pipe.send(job)

    def hear(self) -> tuple[str, Any]:
        try:
            kind, value = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            kind, value = "done", Crash(_why(self.process.exitcode))
        if kind == "done":
            self.number = None
        return kind, value


def _why(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?): give fewer --jobs" if name == "SIGKILL" else ""
        return f"the worker was ended by {name}{hint}"
    return f"the worker ended with status {code}: run with --jobs 0 to see where"


def _serve(pipe: Connection, function: Callable[[Any, Report], Any], setup: str) -> None:
    """What a worker process does; it ends when the pipe or the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    call(setup)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(("done", function(job, lambda share: pipe.send(("share", share)))))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def call(target: str) -> None:
    """Import and call "module:function"; nothing for ""."""
    if target:
        module, _, name = target.partition(":")
        getattr(importlib.import_module(module), name)()


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Worker processes start with libraries set to one thread; this process gets its own settings back."""
    before = {key: os.environ.get(key) for key in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


@contextlib.contextmanager
def _one_thread_here() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""How worker processes are started: by which method, with which environment, and deaf to Ctrl-C."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection
from multiprocessing.context import BaseContext

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread for the length of a with block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def context() -> BaseContext:
    """On Linux workers are forked from a server that has imported torch, with one thread, and nothing else.

    Forking this process would copy locks that its threads hold; starting each worker afresh costs it two seconds of
    imports. Elsewhere libraries are not safe to fork, so workers start afresh.
    """
    return multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")


def warm_up(modules: Sequence[str] = ("torch",)) -> None:
    """Have the server import ``modules`` while this process does other things. Harmless if it runs already."""
    if sys.platform == "linux":
        from multiprocessing import forkserver

        with starting():
            multiprocessing.set_forkserver_preload(list(modules))
            forkserver.ensure_running()


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Processes started in this with block have numeric libraries of one thread, and never hear of Ctrl-C.

    A terminal sends it to all of them, but it is the main process's to answer, which ends its workers. It is held back
    here meanwhile, and not lost.
    """
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    held = None
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # which lets signals through when it starts
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if held is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)


@contextlib.contextmanager
def reading_processes(number: int) -> Iterator[ProcessPoolExecutor]:
    """An executor of processes inside a worker: they read audio for a model that outruns one reader.

    They import no torch, so they start fast and stay small.
    """
    pool = ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """A process whose parent is killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""What can be done to items without a model: measuring and reading them, with errors kept as values.

Nothing here imports torch: processes that only read start fast and stay small.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import connection
from typing import ParamSpec, TypeVar

import numpy as np

from codectok.items.clips import read_clip, seconds_of
from codectok.items.item import Item

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """What is kept of an exception: not itself, since its traceback would hold the audio in memory."""

    kind: str
    message: str


def attempt(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Failure:
    """Call ``function``; what it raises comes back in a few words, but for a missing package."""
    try:
        return function(*args, **kwargs)
    except ImportError:
        raise
    except Exception as e:
        return Failure(type(e).__name__, " ".join(str(e).split())[:500] or type(e).__name__)


def measure(items: Sequence[Item]) -> tuple[list[float], float]:
    """Lengths in seconds, infinite where nothing tells it, and the CPU seconds that it took to look them up."""
    started = time.thread_time()
    lengths = [math.inf if (seconds := seconds_of(item)) is None else seconds for item in items]
    return lengths, time.thread_time() - started


def read(item: Item, rate: int) -> tuple[np.ndarray | Failure, float]:
    """Samples at ``rate`` Hz, and the CPU seconds that they took."""
    started = time.thread_time()
    clip = attempt(read_clip, item, rate)
    return clip, time.thread_time() - started


@contextlib.contextmanager
def readers(processes: int = 0) -> Iterator[Executor]:
    """Where audio is read: a thread beside the model, or, for a model that outruns one, so many processes."""
    if not processes:
        pool: Executor = ThreadPoolExecutor(1, thread_name_prefix="codectok-audio")
    else:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent)
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

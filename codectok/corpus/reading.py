"""What can be done to items without a model: measuring and reading them, with errors kept as values.

Nothing here imports torch: processes that only read start fast and stay small.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import numpy as np

from codectok.items.clips import read_clip, seconds_of
from codectok.items.item import Item
from codectok.processes import reading_processes

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
    found = [attempt(seconds_of, item) for item in items]
    lengths = [math.inf if seconds is None or isinstance(seconds, Failure) else seconds for seconds in found]
    return lengths, time.thread_time() - started


@dataclass(frozen=True, slots=True)
class ClipRead:
    """float32 samples [S] or why there are none, warnings of the file, and the CPU seconds that they took."""

    samples: np.ndarray | Failure
    warnings: tuple[str, ...]
    seconds: float


def read(item: Item, rate: int, strict: bool) -> ClipRead:
    """Samples at ``rate`` Hz."""
    started, told = time.thread_time(), list[str]()
    clip = attempt(read_clip, item, rate, strict=strict, told=told)
    return ClipRead(clip, tuple(told), time.thread_time() - started)


@contextlib.contextmanager
def readers(processes: int = 0) -> Iterator[Executor]:
    """Where audio is read: a thread beside the model, or, for a model that outruns one, so many processes."""
    if processes:
        with reading_processes(processes) as pool:
            yield pool
        return
    with ThreadPoolExecutor(1, thread_name_prefix="codectok-audio") as thread:
        try:
            yield thread
        finally:
            thread.shutdown(cancel_futures=True)

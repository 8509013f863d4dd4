"""Prepare the next step's data while this one trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(make: Callable[[int], T], first: int, stop: int) -> Iterator[T]:
    """Yield ``make(step)`` for ``first <= step < stop``, each made in a thread while the one before is used.

    ``make`` must depend on the step alone, as :func:`train_codec.data.draw` does: then stopping early loses nothing.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="train-data") as pool:
        waiting = pool.submit(make, first) if first < stop else None
        for step in range(first, stop):
            assert waiting is not None
            value = waiting.result()
            waiting = pool.submit(make, step + 1) if step + 1 < stop else None
            yield value

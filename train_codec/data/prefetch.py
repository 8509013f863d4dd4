"""Prepare the next step's data while this one trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from codectok.processes import map_in_threads

T = TypeVar("T")


def prefetch(make: Callable[[int], T], first: int, stop: int) -> Iterator[T]:
    """Yield ``make(step)`` for ``first <= step < stop``, each made in a thread while the one before is used.

    ``make`` must depend on the step alone, as :func:`train_codec.data.draw` does: then stopping early loses nothing.
    """
    return map_in_threads(make, range(first, stop), ahead=1)

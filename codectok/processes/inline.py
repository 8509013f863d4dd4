"""A pool of one: the work is done in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic

from codectok.processes.settings import one_thread
from codectok.processes.work import Now, R, T, Wait, Work


class Inline(Generic[T, R]):
    """Does what :class:`~codectok.processes.pool.Pool` does, without processes; errors are raised as they are.

    Args:
        work: what is done.
        heard: called with (task, share of it that is done).
    """

    def __init__(self, work: Work[T, R], heard: Callable[[T, float], None] | None = None) -> None:
        self._work, self._heard = work, heard
        self.startup_seconds = 0.0

    def __len__(self) -> int:
        return 1

    def __enter__(self) -> Inline[T, R]:
        self._work.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._work.close()

    def run(self, tasks: Iterable[T | Wait]) -> Iterator[tuple[T, R]]:
        """Yield (task, result); each task is begun before the one ahead of it is finished."""
        begun: deque[tuple[T, Any]] = deque()
        for task in tasks:
            if not isinstance(task, Wait):
                value = self._work.begin(task)
                if isinstance(value, Now):
                    yield task, value.result
                    continue
                begun.append((task, value))
                if len(begun) == 1:
                    continue
            elif not begun:
                raise RuntimeError("the next task waits for results, and nothing is being done")
            yield self._finish(*begun.popleft())
        while begun:
            yield self._finish(*begun.popleft())

    def _finish(self, task: T, begun: Any) -> tuple[T, R]:
        def report(share: float) -> None:
            if self._heard is not None:
                self._heard(task, share)

        with one_thread():
            return task, self._work.finish(begun, report)

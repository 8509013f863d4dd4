"""A function over items, ahead of whoever uses the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from codectok.processes.inline import Inline
from codectok.processes.pool import Pool
from codectok.processes.work import WAIT, Call, Lost, R, Raised, T, Wait, WorkerDied


def map_ahead(
    function: Callable[[T], R],
    items: Iterable[T],
    workers: int,
    *,
    ahead: int | None = None,
    name: Callable[[T], str] = str,
    preload: Sequence[str] = ("torch",),
) -> Iterator[R]:
    """Yield ``function(item)`` in the items' order, from worker processes that work ahead.

    Args:
        function: of a module, with picklable arguments and results. What it raises is raised here, in its turn.
        items: read no more than ``ahead`` items before the one whose result is yielded.
        workers: processes; 1 and 0 run the function in this one, as results are asked for.
        ahead: items in work or done and not yet yielded; default four a worker.
        name: what an item is called in an error.
        preload: modules that the function needs.

    Raises:
        WorkerDied: the worker that had an item.
        StartError: workers die as they start.
    """
    work: Call[tuple[int, T], R] = Call(_Second(function))
    if workers <= 1:
        with Inline(work) as inline:
            yield from (result for _, result in inline.run(_one_by_one(items)))
        return
    most = ahead or 4 * workers
    done: dict[int, Any] = {}
    turn = 0

    def bounded() -> Iterator[tuple[int, T] | Wait]:
        for number, item in enumerate(items):
            while number >= turn + most:
                yield WAIT
            yield number, item

    with Pool([work] * workers, preload=preload) as pool:
        for (number, item), found in pool.run(bounded()):
            done[number] = WorkerDied(name(item), found.reason) if isinstance(found, Lost) else found
            while turn in done:
                found = done.pop(turn)
                if isinstance(found, WorkerDied):
                    raise found
                if isinstance(found, Raised):
                    raise found.error
                turn += 1
                yield found


def in_process(function: Callable[[T], R], item: T) -> R:
    """``function(item)`` in a process of its own, whose memory and whose death are not this one's.

    Raises:
        WorkerDied: the process.
    """
    with Pool([Call(function)]) as pool:
        [(_, found)] = pool.run([item])
    if isinstance(found, Lost):
        raise WorkerDied(str(item), found.reason)
    if isinstance(found, Raised):
        raise found.error
    return found


def map_in_threads(
    function: Callable[[T], R],
    items: Iterable[T],
    threads: int = 1,
    *,
    ahead: int | None = None,
    drop: bool = True,
) -> Iterator[R]:
    """Yield ``function(item)`` in the items' order, from threads beside the caller: for reading, writing and waiting.

    Args:
        function: what it raises is raised here, in its turn; what is begun by then is waited for.
        items: read no more than ``ahead`` items before the one whose result is yielded.
        threads: that run it.
        ahead: items in work or done and not yet yielded; default four a thread.
        drop: whether items that were taken and not begun are left, where the caller stops; a writer does not.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="codectok") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > (4 * threads if ahead is None else ahead):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=drop)


class _Second:
    """The function of a numbered item, picklable where it is."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, numbered: tuple[int, Any]) -> Any:
        return self.function(numbered[1])


def _one_by_one(items: Iterable[T]) -> Iterator[tuple[int, T] | Wait]:
    for number, item in enumerate(items):
        yield number, item
        yield WAIT

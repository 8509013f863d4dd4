"""What a worker is given to do, and what can come of it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from codectok.errors import CodectokError

T = TypeVar("T")
R = TypeVar("R")
Report = Callable[[float], None]
"""Called by work with the share of its task that is done, 0 to 1."""


class Work(Generic[T, R]):
    """What a worker does with each task; picklable, and opened once in each worker."""

    def open(self) -> None:
        """Before the first task; what it raises ends the run."""

    def begin(self, task: T) -> Any:
        """What can be done ahead, on a thread beside :meth:`finish` of the task before; ``Now(result)`` ends it."""
        return task

    def finish(self, begun: Any, report: Report) -> R:
        """The result, from what :meth:`begin` gave."""
        raise NotImplementedError

    def close(self) -> None:
        """After the last task, where the work was done in this process."""


class Call(Work[T, R]):
    """A function of the task alone."""

    def __init__(self, function: Callable[[T], R]) -> None:
        self.function = function

    def finish(self, begun: T, report: Report) -> R:
        """Call it."""
        return self.function(begun)


class Wait:
    """See :data:`WAIT`."""


WAIT = Wait()
"""Given by an iterator of tasks whose next one depends on results that are not there yet."""


@dataclass(frozen=True)
class Now:
    """The result of a task that needs no more than its beginning."""

    result: Any


@dataclass(frozen=True)
class Lost:
    """What comes of a task whose worker died, which may have been of another task that the worker had."""

    reason: str


@dataclass(frozen=True)
class Raised:
    """What comes of a task that raised an error in a worker."""

    error: BaseException


class StartError(CodectokError):
    """Workers die as they start."""


class WorkerDied(CodectokError):
    """A worker died of a task; ``item`` is its name."""

    def __init__(self, item: str, reason: str) -> None:
        super().__init__(
            f"{item}: the worker process died on it ({reason}), of too little memory or of what is in it: leave it "
            "out, or give fewer --workers"
        )
        self.item, self.reason = item, reason

    def __reduce__(self) -> tuple[type[WorkerDied], tuple[str, str]]:
        return type(self), (self.item, self.reason)


class CallDied(CodectokError):
    """A call that :func:`~codectok.processes.apart` made crashed or took too long: the message says how it ended."""


def ended(code: int) -> str:
    """How a process ended, by its exit code."""
    if code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        name = "a signal without a name"
    return f"killed by signal {-code}, {name}"

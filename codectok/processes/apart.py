"""Calls into native code that may crash or hang: made in one worker process that stays, so that each costs one call.

Unlike the workers of a :class:`~codectok.processes.Pool`, this one is a plain process of the interpreter: it never
imports the caller's main module, may be started within a worker or from any thread, and imports no more than the
function needs, so that it is there in the time that Python takes to start.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from codectok.processes.apart_child import read, write
from codectok.processes.settings import starting
from codectok.processes.work import CallDied, ended

LIMIT = 60.0
"""Seconds that a call may take, unless it says otherwise."""
PATIENCE = 1.0
"""Seconds that the worker has to end by itself."""
_CHILD = "import sys; sys.path[:] = {path!r}; from codectok.processes.apart_child import serve; serve()"


def apart(function: Callable[..., Any], *arguments: Any, limit: float = LIMIT) -> Any:
    """``function(*arguments)`` in this process's own worker, started at the first call and again after a death.

    Args:
        function: of a module that can be imported; picklable arguments and result.
        arguments: of the function.
        limit: seconds after which it is ended.

    Raises:
        CallDied: it crashed, or took too long.
        Exception: what the function raised.

    Examples:
        >>> import math
        >>> from codectok.processes import apart
        >>> apart(math.sqrt, 4.0)
        2.0
    """
    global _worker
    with _lock:
        if _worker is None or not _worker.usable():
            _worker = _Worker()
        try:
            fine, value = _worker.call(function, arguments, limit)
        except BaseException:
            _end()  # its answer may still come, and would be taken for that of another call
            raise
    if not fine:
        raise value
    return value


class _Worker:
    def __init__(self) -> None:
        self.owner = os.getpid()
        with starting():
            self.process = subprocess.Popen(
                [sys.executable, "-c", _CHILD.format(path=sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # What a crash prints is no news: its reason is raised.
                stderr=subprocess.DEVNULL,
            )

    def usable(self) -> bool:
        """Whether it lives, and is this process's: a forked one has another's."""
        return self.owner == os.getpid() and self.process.poll() is None

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], limit: float) -> tuple[bool, Any]:
        """Whether it returned, and what it returned or raised."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        expired = threading.Event()

        def end() -> None:
            expired.set()
            process.kill()

        request = pickle.dumps((function, arguments))
        clock = threading.Timer(limit, end)
        clock.daemon = True
        clock.start()
        try:
            write(process.stdin, request)
            answer = read(process.stdout)
        except (EOFError, OSError):
            code = process.wait()
            reason = f"it took more than {limit:.0f} s" if expired.is_set() else ended(code)
            raise CallDied(reason) from None
        finally:
            clock.cancel()
        return pickle.loads(answer)

    def close(self) -> None:
        """End it, whatever it is doing."""
        if self.owner != os.getpid():
            return
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_worker: _Worker | None = None
_lock = threading.Lock()


def _end() -> None:
    global _worker
    worker, _worker = _worker, None
    if worker is not None:
        worker.close()


def _forked() -> None:
    """The worker, and whoever held the lock, are the parent's."""
    global _worker, _lock
    _worker, _lock = None, threading.Lock()


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)

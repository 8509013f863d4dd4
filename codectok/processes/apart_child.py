"""The worker of :func:`~codectok.processes.apart`: it reads calls from its standard input until that ends.

It ends with whoever started it, even while native code holds the interpreter: the kernel is told to end the process
when the other side of its input is gone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import struct
import sys
from collections.abc import Iterator
from typing import IO

from codectok.processes.child import portable

_LENGTH = struct.Struct("<Q")


def write(stream: IO[bytes], message: bytes) -> None:
    """A message, with its length before it."""
    stream.write(_LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def read(stream: IO[bytes]) -> bytes:
    """The next message.

    Raises:
        EOFError: the stream ends.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    message = stream.read(length)
    if len(message) < length:
        raise EOFError
    return message


def serve() -> None:
    """Answer calls."""
    # What native code prints goes nowhere: the standard output is for answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(ImportError):  # where there are such limits
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    calls = sys.stdin.buffer
    while True:
        try:
            message = read(calls)
        except EOFError:
            os._exit(0)
        with _ending_with(calls.fileno()):
            try:
                function, arguments = pickle.loads(message)
                answer = pickle.dumps((True, function(*arguments)))
            except Exception as error:
                answer = pickle.dumps((False, portable(error)))
        try:
            write(answers, answer)
        except OSError:
            os._exit(0)


@contextlib.contextmanager
def _ending_with(pipe: int) -> Iterator[None]:
    """While native code runs, the end of the pipe raises a signal that ends the process."""
    if not hasattr(signal, "SIGIO") or sys.platform == "win32":
        yield
        return
    import fcntl

    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    before = fcntl.fcntl(pipe, fcntl.F_GETFL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, before | os.O_ASYNC)
    watch = select.poll()
    watch.register(pipe, 0)
    if watch.poll(0):  # it ended before the signal was asked for
        os._exit(0)
    try:
        yield
    finally:
        fcntl.fcntl(pipe, fcntl.F_SETFL, before)

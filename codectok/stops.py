"""Ctrl-C and SIGTERM: every command ends within ten seconds, says what is kept, and gives 130 or 143 as its status.

The first signal is raised as :class:`Stopped` where the main thread is, so that what is half-written is removed on the
way out; a loop that would rather finish its step asks for :func:`holding`. During an import it is raised when that is
over. A watcher thread ends the process where that takes too long, in a library that does not return, and at once on a
second signal.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import ExtensionFileLoader
from types import FrameType

GRACE = 8.0
"""Seconds from the first signal to the end of the process, whatever it is doing."""
AGAIN = 0.02
"""Seconds until it is asked again whether an import is over."""
IMPORTS = 3.0
"""Seconds that an import gets to end by itself."""
NUMBERS = (signal.SIGINT, signal.SIGTERM)
NOTHING = "nothing is half-written; the same command begins again"
"""What is said of commands that say nothing else: they write each file whole, at the end."""

GOES_ON = "what was finished is kept; the same command (without --overwrite) goes on from there"
"""What commands say that write shard by shard."""


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end; ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


class _Stop:
    """What is known of the end of this process."""

    def __init__(self) -> None:
        self.handled = False
        self.number = 0  # of the first signal
        self.came = 0.0  # when it did
        self.holding = 0
        self.kept: list[Callable[[], str]] = []
        self.message = ""  # as it was on the way out
        self._lock = threading.Lock()
        self._said = False

    def say(self, write: Callable[[str], object]) -> None:
        """Write the line, once."""
        with self._lock:
            if self._said:
                return
            self._said = True
        message = self.message
        if not message and self.kept:
            with contextlib.suppress(Exception):  # it looks at what another thread is in the middle of
                message = self.kept[-1]()
        shown = "\x1b[?25h\r\x1b[K" if os.isatty(2) else ""  # a progress bar hides the cursor
        with contextlib.suppress(OSError):
            write(f"{shown}stopped: {message or NOTHING}\n")


_stop = _Stop()


@contextlib.contextmanager
def handled(*, last: bool = False) -> Iterator[None]:
    """Handle the signals of a command for the length of a with block, in the main thread.

    When a signal ended the block, so does the process, with 130 or 143: what is open is closed by then, and taking
    down an interpreter with everything that is imported may take seconds.

    Args:
        last: the block is the last of the process where it leaves by a SystemExit: the status stands, and what is left
            is joining threads and taking down the interpreter, which a first signal does not change any more. Without,
            a program goes on after the block, with the handlers that it had.
    """
    global _stop
    stop = _stop = _Stop()
    stop.handled = True
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = {number: signal.getsignal(number) for number in NUMBERS}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(stop, reader), name="codectok-stops", daemon=True).start()
    ends = False
    try:
        for number in NUMBERS:
            signal.signal(number, _on_signal)
        yield
    except BaseException as error:
        _ask_later(0)  # no more
        whole = isinstance(error, SystemExit) and error.code == 0
        if whole or not (stop.number or isinstance(error, KeyboardInterrupt)):
            if ends := last and isinstance(error, SystemExit):
                stop.holding += 1  # the watcher ends the process at a second signal
                atexit.register(_ignore)
            raise
        status = tell(error)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # the reader of a pipe has gone
                stream.flush()
        os._exit(status)
    finally:
        # A process that is ending by a signal hears of others through the watcher only.
        if not (stop.number or ends):
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            writer.close()  # ends the watcher
            _stop = _Stop()


def _ignore() -> None:
    """The work is done and its status stands: taking down an interpreter does not change it."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def tell(error: BaseException) -> int:
    """Say in one line on stderr that a signal ended the process and what is kept; returns the exit status."""
    stop = _stop
    stop.say(sys.stderr.write)
    return 128 + (stop.number or getattr(error, "number", signal.SIGINT))


@contextlib.contextmanager
def keeping(what: str | Callable[[], str]) -> Iterator[None]:
    """Say what a stop inside this block leaves, and how to go on, such as "3 shards are kept: the same command ...".

    Args:
        what: words without a full stop; or what gives them when they are needed, from any thread.
    """
    stop, words = _stop, what if callable(what) else partial(str, what)
    stop.kept.append(words)
    try:
        yield
    except BaseException as error:
        if (stop.number or isinstance(error, KeyboardInterrupt)) and not stop.message:
            stop.message = words()
        raise
    finally:
        stop.kept.pop()


@contextlib.contextmanager
def holding() -> Iterator[Callable[[], bool]]:
    """Hold signals back for the length of a with block; yields what tells whether one has come.

    The block should end soon after; then the signal is raised. In another thread than the main one nothing is held.

    Raises:
        Stopped: a signal came.
    """
    stop, before = _stop, {}
    if not stop.handled:
        stop = _Stop()
        with contextlib.suppress(ValueError):  # not in the main thread
            for number in NUMBERS:
                before[number] = signal.signal(number, lambda number, _: _note(stop, number))
    stop.holding += 1
    try:
        yield lambda: bool(stop.number)
    finally:
        stop.holding -= 1
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.number:
        raise Stopped(stop.number)


def _note(stop: _Stop, number: int) -> None:
    if not stop.number:
        stop.number, stop.came = number, time.monotonic()


def _on_signal(number: int, frame: FrameType | None) -> None:
    again = bool(_stop.number)
    _note(_stop, number)
    if not again and not _stop.holding:
        _raise(frame)


def _raise(frame: FrameType | None) -> None:
    """Raise the signal; during an import, later: an exception inside the start of a C++ module would abort it."""
    if _importing(frame) and _ask_later(AGAIN):
        return
    raise Stopped(_stop.number)


def _importing(frame: FrameType | None) -> bool:
    """Whether an import is under way, in the frames from this one outwards; after a while, only one of a C++ module."""
    early = time.monotonic() - _stop.came < IMPORTS
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib") and (
            early or isinstance(frame.f_locals.get("self"), ExtensionFileLoader)
        ):
            return True
        frame = frame.f_back
    return False


def _ask_later(seconds: float) -> bool:
    """Have the signal raised by a timer, once; 0: not at all. False where there are no timers (Windows)."""
    if not hasattr(signal, "setitimer"):
        return False
    if seconds:
        signal.signal(signal.SIGALRM, lambda _, frame: _raise(frame))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return True


def _watch(stop: _Stop, reader: socket.socket) -> None:
    """End the process at the second signal, or some seconds after the first, even if the main thread never returns."""
    came: list[int] = []
    ends = 0.0
    while len(came) < 2:
        try:
            if came:
                reader.settimeout(max(ends - time.monotonic(), 1e-3))
            data = reader.recv(64)
        except TimeoutError:
            break
        if not data:
            reader.close()
            return
        ends = ends if came else time.monotonic() + GRACE
        came += (number for number in data if number in NUMBERS)
    stop.say(lambda line: os.write(2, line.encode(errors="replace")))
    os._exit(128 + came[0])

"""How far a command is, on stderr: a bar on a terminal, elsewhere a line a minute."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from codectok.cli.verbosity import is_quiet

EVERY = 60.0
"""Seconds between two lines; what is over sooner has none."""


class Progress:
    """Steps that are done, and a word beside them."""

    def advance(self, steps: float = 1) -> None:
        """So many steps more are done."""

    def note(self, text: str) -> None:
        """Show a word or two beside."""


class BarProgress(Progress):
    """A bar of rich's."""

    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task

    def advance(self, steps: float = 1) -> None:
        """So many steps more are done."""
        self._bar.advance(self._task, steps)

    def note(self, text: str) -> None:
        """Show a word or two beside the bar."""
        self._bar.update(self._task, note=text)


class LineProgress(Progress):
    """Lines for a log: the share that is done, the word beside it, the time taken and, from a steady pace, left.

    Args:
        total: steps; None: unknown; 1: a share, whose steps are in the word.
        label: first word of each line.
        clock: seconds that only ever rise.
    """

    def __init__(self, total: float | None, label: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.label = total, label
        self._clock, self._began = clock, clock()
        self._done, self._first, self._paced = 0.0, -1.0, self._began
        self._text = ""

    def advance(self, steps: float = 1) -> None:
        """So many steps more are done."""
        if self._first < 0:
            self._first, self._paced = steps, self._clock()
        self._done += steps

    def note(self, text: str) -> None:
        """Show a word or two in the next line."""
        self._text = text

    def line(self) -> str:
        """How far it is now."""
        parts, total, done = [], self.total, self._done
        if total and done:
            parts.append(f"{min(done / total, 1):.0%}")
        if done and total != 1:
            parts.append(f"{done:g} done" if total is None else f"{done:g}/{total:g}")
        parts += [self._text] if self._text else []
        now = self._clock()
        parts.append(f"{duration(now - self._began)} so far")
        # The first step may be what an earlier run did already: the pace is that of the others.
        if total and 0 <= self._first < done < total and now > self._paced:
            parts.append(f"{duration((total - done) * (now - self._paced) / (done - self._first))} left")
        return f"{self.label}: {', '.join(parts)}"


@contextlib.contextmanager
def progress(total: float | None, label: str) -> Iterator[Progress]:
    """Show ``total`` steps (None: unknown) for the length of a with block: a bar, or lines; with -q nothing."""
    if is_quiet():
        yield Progress()
        return
    with _bar(total, label) if sys.stderr.isatty() else _lines(total, label) as shown:
        yield shown


@contextlib.contextmanager
def _bar(total: float | None, label: str) -> Iterator[Progress]:
    """Gone afterwards."""
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[note]}"),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield BarProgress(bar, bar.add_task(label, total=total, note=""))


@contextlib.contextmanager
def _lines(total: float | None, label: str) -> Iterator[Progress]:
    """From a thread: a step may take longer than a minute, and then a line is wanted most."""
    shown, over = LineProgress(total, label), threading.Event()

    def tell() -> None:
        while not over.wait(EVERY):
            with contextlib.suppress(OSError, ValueError):  # the log has gone: the work goes on
                click.echo(shown.line(), err=True)

    thread = threading.Thread(target=tell, name="codectok-progress", daemon=True)
    thread.start()
    try:
        yield shown
    finally:
        over.set()
        thread.join()


def duration(seconds: float) -> str:
    """A time in words: 45 s, 12 min, 3 h 05 min, 2 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"

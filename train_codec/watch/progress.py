"""One progress line for a run: speed, losses, time left."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from codectok.cli.progress import duration

_WINDOW = 100
"""Steps over which the speed is taken."""
_REDRAW = 0.2
"""Seconds between two updates of a terminal's line."""
_LONGEST = 60.0
"""Seconds after which a plain line is due though fewer than ``every`` steps are done."""


class RunProgress:
    """Shows how far a run is: a line that is rewritten on a terminal, plain lines elsewhere.

    These come after the first step, every ``every`` steps, and once a minute, where a step takes no longer.

    Args:
        total: steps of the run.
        start: step that the run goes on from.
        seconds_per_step: audio that one step trains on, in all processes.
        every: steps between plain lines.
        stream: where to; default standard output.
        clock: seconds that only ever rise.
        width: columns of the terminal; None asks it.
    """

    def __init__(
        self,
        total: int,
        start: int = 0,
        seconds_per_step: float = 0.0,
        every: int = 100,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        width: int | None = None,
    ) -> None:
        self.total, self.step, self.audio, self.every = total, start, seconds_per_step, max(1, every)
        self.stream = sys.stdout if stream is None else stream
        self.live = self.stream.isatty()
        self._clock, self._width = clock, width
        self._paused = 0.0
        self._drawn = float("-inf")
        self._line = ""
        self._times: deque[tuple[int, float]] = deque([(start, self._now())], maxlen=_WINDOW + 1)

    @property
    def speed(self) -> float:
        """Steps a second over the last steps, pauses left out; 0 before the first step."""
        (first, began), (last, ended) = self._times[0], self._times[-1]
        return (last - first) / max(ended - began, 1e-9) if last > first else 0.0

    @property
    def real_time(self) -> float:
        """Seconds of audio trained on in a second."""
        return self.speed * self.audio

    def update(self, step: int, losses: Mapping[str, float]) -> None:
        """Tell that ``step`` steps are done, and the losses to show."""
        self.step = step
        self._times.append((step, self._now()))
        if self.live:
            self._line = self.text(losses)
            if self._clock() - self._drawn >= _REDRAW or step >= self.total:
                self._draw()
        elif step % self.every == 0 or step == self.total or self._clock() - self._drawn >= _LONGEST:
            print(self.text(losses), file=self.stream, flush=True)
            self._drawn = self._clock()

    def text(self, losses: Mapping[str, float]) -> str:
        """The line."""
        parts = [f"{self.step}/{self.total}", *(f"{name} {_figure(value)}" for name, value in losses.items())]
        if self.speed:
            parts.append(f"{self.speed:.3g} steps/s" if self.speed < 100 else f"{self.speed:.0f} steps/s")
            if self.audio:
                parts.append(f"{_figure(self.real_time)}x real time")
            parts.append(f"{duration((self.total - self.step) / self.speed)} left")
        return "  ".join(parts)

    def note(self, text: str) -> None:
        """Print lines that stay, such as a validation table, above the progress line."""
        if self.live:
            self.stream.write("\r\x1b[K")
        print(text, file=self.stream, flush=True)
        if self.live and self._line:
            self._draw()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Don't count the time of a ``with`` block, such as a validation, as time of steps."""
        began = self._clock()
        try:
            yield
        finally:
            self._paused += self._clock() - began

    def close(self) -> None:
        """Leave the last line on the terminal."""
        if self.live and self._line:
            self._draw()
            print(file=self.stream, flush=True)
            self._line = ""

    def _now(self) -> float:
        return self._clock() - self._paused

    def _draw(self) -> None:
        columns = self._width or shutil.get_terminal_size().columns
        self.stream.write(f"\r\x1b[K{self._line[: columns - 1]}")  # a wrapped line could not be rewritten
        self.stream.flush()
        self._drawn = self._clock()


def _figure(value: float) -> str:
    return f"{value:.4g}"

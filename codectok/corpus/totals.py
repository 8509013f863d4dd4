"""How far a run is, how much of it failed, and the figures of its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codectok.corpus.reading import Failure
from codectok.errors import CodectokError

Progress = Callable[[int, int], None]
"""Told (items that are done, items in all)."""


@dataclass
class Totals:
    """Of one run.

    Attributes:
        items: to be done in all.
        progress: told how far it is.
        max_errors: more failed items than this end the run.
        workers: processes that encode.
        startup_seconds: that the slowest of them took to begin.
    """

    items: int
    progress: Progress | None = None
    max_errors: int | None = None
    workers: int = 1
    startup_seconds: float = 0.0
    resumed_shards: int = 0
    _done: int = 0
    _failed: int = 0
    _seconds: dict[str, float] = field(default_factory=dict)
    _first: float = 0.0
    _last: float = 0.0

    def tick(self) -> None:
        """A batch was begun or done: figures count the time from the first of these to the last."""
        self._last = time.perf_counter()
        self._first = self._first or self._last

    def told(self, items: int, failures: Sequence[Failure] = ()) -> None:
        """So many items more are done, of which these failed.

        Raises:
            CodectokError: too many failed.
        """
        last = f"; the last: {failures[-1].message}" if failures else ""
        self._add(items, len(failures), last)

    def resumed(self, items: int, failed: int) -> None:
        """An earlier run had finished a shard.

        Raises:
            CodectokError: too many failed.
        """
        self.resumed_shards += 1
        self._add(items, failed, "")

    def add(self, timing: Mapping[str, float]) -> None:
        """Seconds of a shard: see :class:`codectok.corpus.job.ShardResult`."""
        for name, seconds in timing.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def run(self, wall_seconds: float) -> dict[str, Any]:
        """What ``stats.json`` says of the run.

        ``span_seconds`` are those from the first batch to the last, without what it takes to start and to end.
        ``busy_share`` is how much of the cores' time in them, a core for each worker, reading and encoding used.
        """
        read, encode = self._seconds.get("read_seconds", 0.0), self._seconds.get("encode_seconds", 0.0)
        span = self._last - self._first
        return {
            "wall_seconds": wall_seconds,
            "x_real_time": self._seconds.get("audio_seconds", 0.0) / wall_seconds,
            "read_seconds": read,
            "encode_seconds": encode,
            "span_seconds": span,
            "busy_share": min(1.0, (read + encode) / (span * self.workers)) if span else 0.0,
            "startup_seconds": self.startup_seconds,
            "workers": self.workers,
            "resumed_shards": self.resumed_shards,
        }

    def _add(self, items: int, failed: int, last: str) -> None:
        self._done += items
        self._failed += failed
        if self.progress is not None:
            self.progress(self._done, self.items)
        if failed and self.max_errors is not None and self._failed > self.max_errors:
            raise CodectokError(
                f"{self._failed} items failed, more than --max-errors {self.max_errors}{last}. Finished shards are "
                "kept: correct what is wrong, or run the same command with a higher --max-errors"
            )

"""One pass over the entries of a source that decodes them into a raw int16 file and its index."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from codectok.errors import AudioError, CodectokError
from codectok.files.atomic import atomic_path
from codectok.processes import map_in_threads
from train_codec.data.decode import decode, estimate_bytes
from train_codec.data.entries import AudioEntry

MAX_FAILED = 0.05
"""Share of clips that may be unreadable: beyond, something is wrong with all of them."""
RESERVE = 256 << 20
"""Bytes left free on the disk of the cache."""
_AHEAD = 4

Say = Callable[[str], None]


def to_stderr(line: str) -> None:
    """Print one line where progress goes."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class CacheOptions:
    """How clips are decoded.

    Attributes:
        min_seconds: shorter clips are left out.
        limit_gb: most that the decoded clips may take (10^9 bytes; 16 kHz takes 0.115 an hour).
        workers: threads that decode; 0 for one a core, at most four.
        say: told, a line at a time, of each clip left out and of progress.
    """

    min_seconds: float = 0.2
    limit_gb: float = 200.0
    workers: int = 0
    say: Say = to_stderr


class Build:
    """One pass over the entries that writes the two files."""

    def __init__(self, folder: Path, key: str, entries: Sequence[AudioEntry], rate: int, options: CacheOptions) -> None:
        self.folder, self.key, self.entries, self.rate, self.say = folder, key, entries, rate, options.say
        self.shortest, self.limit = max(1, round(options.min_seconds * rate)), options.limit_gb * 1e9
        self.workers = options.workers or min(4, os.cpu_count() or 1)
        self.ids: list[str] = []
        self.lengths: list[int] = []
        self.failed: list[tuple[str, str]] = []
        self.short = 0
        self.hash = hashlib.sha256()

    def run(self) -> None:
        """Write the samples, then the index that makes them valid."""
        self._check_disk(estimate_bytes(self.entries, self.rate))
        with atomic_path(self.folder / f"{self.key}.i16") as path:
            try:
                with open(path, "wb") as file:
                    self._write_all(file, self._decoded())
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                raise CodectokError(
                    f"the disk of {self.folder} is full: give cache= a folder on a larger one"
                ) from None
        if self.short:
            self.say(f"left out {self.short} clips shorter than {self.shortest / self.rate:g} s")
        if not self.ids:
            raise AudioError(
                f"all {len(self.entries)} clips are shorter than {self.shortest / self.rate:g} s or unreadable"
            )
        table: dict[str, Any] = {"sample_rate": self.rate, "sha256": self.hash.hexdigest(), "short": self.short}
        table |= {"failed": self.failed, "ids": self.ids, "lengths": self.lengths}
        with atomic_path(self.folder / f"{self.key}.json") as path:
            path.write_text(json.dumps(table), encoding="utf-8")

    def _check_disk(self, needed: int) -> None:
        free = shutil.disk_usage(self.folder).free
        for room, what in ((free - RESERVE, "that disk has"), (self.limit, "the limit is")):
            if needed > room:
                raise CodectokError(
                    f"the decoded clips need about {needed / 1e9:.3g} GB in {self.folder}, and {what} "
                    f"{max(0.0, room) / 1e9:.3g} GB: give cache= a larger disk, raise the limit, or give less audio"
                )

    def _decoded(self) -> Iterator[tuple[AudioEntry, np.ndarray | str]]:
        """Entries in their order, each with its samples or the reason why it has none; a few are decoded ahead."""

        def attempt(entry: AudioEntry) -> np.ndarray | str:
            try:
                return decode(entry, self.rate)
            except AudioError as error:
                return str(error)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise
                return f"{entry.item.path}: {error.strerror or error}"

        found = map_in_threads(attempt, self.entries, self.workers, ahead=_AHEAD * self.workers)
        return zip(self.entries, found, strict=True)

    def _write_all(self, file: BinaryIO, decoded: Iterator[tuple[AudioEntry, np.ndarray | str]]) -> None:
        told = time.monotonic()
        for done, (entry, samples) in enumerate(decoded, start=1):
            if isinstance(samples, str):
                self._fail(entry, samples)
            elif len(samples) < self.shortest:
                self.short += 1
            else:
                data = samples.astype("<i2", copy=False).tobytes()
                file.write(data)
                self.hash.update(data)
                self.ids.append(entry.item.id)
                self.lengths.append(len(samples))
            if file.tell() > self.limit:
                raise CodectokError(
                    f"the decoded clips exceed {self.limit / 1e9:g} GB: raise the limit, or give less audio"
                )
            if time.monotonic() - told > 10:
                told = time.monotonic()
                self.say(f"decoding the training audio, once: {done} of {len(self.entries)} clips")

    def _fail(self, entry: AudioEntry, reason: str) -> None:
        self.failed.append((entry.item.id, reason))
        self.say(f"left out: {reason}")
        if len(self.failed) > MAX_FAILED * len(self.entries):
            raise AudioError(
                f"{len(self.failed)} of {len(self.entries)} clips are unreadable, more than {MAX_FAILED:.0%} "
                f"(make sure that the paths start from the right folder); the last: {reason}"
            )

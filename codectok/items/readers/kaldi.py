"""Kaldi's data folder: ``wav.scp``, and ``segments`` if it lies beside it."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from codectok.errors import FormatError
from codectok.items.hashes import short_hash
from codectok.items.item import Item
from codectok.items.readers.lines import bad_line, make_item, numbered_lines, open_text


def read_kaldi(source: Path, root: str) -> Iterator[Item]:
    """Recordings of ``wav.scp``, or the utterances of ``segments``: ``utterance recording start end``, in seconds.

    An end of -1 is the recording's end. Commands and archive offsets are refused.
    """
    scp = source / "wav.scp" if source.is_dir() else source
    segments = scp.with_name("segments")
    if scp.name != "wav.scp" or not segments.is_file():
        for number, line in numbered_lines(scp):
            yield make_item(scp, number, *_recording(scp, number, line), root)
        return
    recordings = _Recordings(scp)
    for number, line in numbered_lines(segments):
        fields = line.split()
        if len(fields) not in (4, 5):
            raise bad_line(segments, number, "must be an utterance, its recording, start and end")
        key, name, *times = fields
        path = recordings.path_of(name)
        if path is None:
            raise bad_line(segments, number, f"names the recording {name!r}, which {scp} does not list: add it")
        offset, duration, member = _times(segments, number, times)
        yield make_item(segments, number, key, path, root, offset, duration, member)


def _recording(scp: Path, number: int, line: str) -> tuple[str, str]:
    key, target = (*line.split(None, 1), "", "")[:2]
    target = target.strip()
    if not target:
        raise bad_line(scp, number, "must be an id and a path")
    if target.endswith("|") or target.startswith("|") or target == "-":
        raise bad_line(
            scp, number, "is a pipe, and codectok runs no commands: write the audio to files, and list those"
        )
    if re.search(r"\.ark(:\d+)?(\[.*\])?$", target):
        raise bad_line(scp, number, "points into an archive: write the audio to files, and list those")
    return key, target


def _times(segments: Path, number: int, fields: list[str]) -> tuple[float, float | None, str | None]:
    """Offset, duration and channel; the difference is taken in decimal, so that 0.3 - 0.1 is 0.2."""
    try:
        start, end = Decimal(fields[0]), Decimal(fields[1])
        channel = int(fields[2]) if len(fields) == 3 else -1
        valid = start.is_finite() and end.is_finite() and start >= 0 and (end > start or end == -1) and channel >= -1
    except (InvalidOperation, ValueError):
        valid = False
    if not valid:
        raise bad_line(segments, number, f"has the times {' '.join(fields)}: expected start < end in seconds, or -1")
    duration = None if end == -1 else float(end - start)
    return float(start), duration, None if channel < 0 else f"channel:{channel}"


class _Recordings:
    """``wav.scp`` by name, at 16 bytes a line: hashes of the names, and where their lines begin."""

    def __init__(self, scp: Path) -> None:
        self._scp = scp
        hashes, starts = array("Q"), array("Q")
        with open_text(scp) as text:  # checks that it is UTF-8
            for number, line in enumerate(text, start=1):
                if line.strip():
                    _recording(scp, number, line)
        with open(scp, "rb") as file:
            at = 0
            for raw in file:
                if raw.strip():
                    hashes.append(short_hash(_text(raw).split(None, 1)[0]))
                    starts.append(at)
                at += len(raw)
        order = np.argsort(np.frombuffer(hashes, np.uint64), kind="stable") if hashes else np.zeros(0, np.int64)
        self._hashes = np.frombuffer(hashes, np.uint64)[order] if hashes else np.zeros(0, np.uint64)
        self._starts = np.frombuffer(starts, np.uint64)[order] if starts else np.zeros(0, np.uint64)
        self._last: tuple[str, str] | None = None

    def path_of(self, name: str) -> str | None:
        """The path of a recording; None if it is not listed."""
        if self._last is not None and self._last[0] == name:
            return self._last[1]
        key = np.uint64(short_hash(name))
        at = int(np.searchsorted(self._hashes, key))
        found = []
        with open(self._scp, "rb") as file:
            while at < len(self._hashes) and self._hashes[at] == key:
                file.seek(int(self._starts[at]))
                found += [p for n, p in [_text(file.readline()).split(None, 1)] if n == name]
                at += 1
        if len(found) > 1:
            raise FormatError(f"the recording {name!r} comes twice in {self._scp}: keep one")
        if not found:
            return None
        self._last = name, found[0].strip()
        return self._last[1]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8").lstrip("\ufeff").rstrip(os.linesep)

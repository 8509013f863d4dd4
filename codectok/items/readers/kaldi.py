"""Kaldi's data folder: ``wav.scp``, and what lies beside it: ``segments``, ``text``, ``utt2spk``, ``utt2lang``."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

from codectok.items.item import Item
from codectok.items.labels import Labels
from codectok.items.line_index import LineIndex
from codectok.items.lines import bad_line, make_item, numbered_lines

_SIDE_FILES = {"text": "text", "utt2spk": "speaker", "utt2lang": "language"}
_COUNTS = ("utt2dur", "utt2num_frames", "utt2num_samples", "utt2uniq")
"""Files beside ``wav.scp`` that say nothing of an utterance that its audio does not."""


def read_kaldi(source: Path, root: str) -> Iterator[Item]:
    """Recordings of ``wav.scp``, or the utterances of ``segments``: ``utterance recording start end``, in seconds.

    An end of -1 is the recording's end. Commands and archive offsets are refused. Labels are the lines of ``text``,
    ``utt2spk`` (speaker), ``utt2lang`` (language), any other ``utt2NAME``, and ``spk2gender``.
    """
    scp = source / "wav.scp" if source.is_dir() else source
    whole = scp.name == "wav.scp"
    with contextlib.ExitStack() as stack:
        side = _SideFiles(scp.parent if whole else None, stack)
        segments = scp.with_name("segments")
        if not (whole and segments.is_file()):
            for number, line in numbered_lines(scp, "\n"):
                key, target = _recording(scp, number, line)
                yield make_item(scp, number, key, target, root, labels=side.labels(key))
            return
        for number, line in numbered_lines(scp, "\n"):
            _recording(scp, number, line)  # refuses pipes, also those that no segment is of
        recordings = _index(scp, stack)
        for number, line in numbered_lines(segments, "\n"):
            fields = line.split()
            if len(fields) not in (4, 5):
                raise bad_line(segments, number, "must be an utterance, its recording, start and end")
            key, name, *times = fields
            path = recordings.find(name)
            if path is None:
                raise bad_line(segments, number, f"names the recording {name!r}, which {scp} does not list: add it")
            offset, duration, member = _times(segments, number, times)
            yield make_item(segments, number, key, path, root, offset, duration, member, side.labels(key))


class _SideFiles:
    """The files of a data folder that have a line an utterance; without a folder, there are none."""

    def __init__(self, folder: Path | None, stack: contextlib.ExitStack) -> None:
        self._files: dict[str, LineIndex] = {}
        self._genders: LineIndex | None = None
        if folder is None:
            return
        more = {p.name: p.name[4:] for p in sorted(folder.glob("utt2?*")) if p.name not in (*_COUNTS, *_SIDE_FILES)}
        names = {**_SIDE_FILES, **{file: name for file, name in more.items() if "." not in name}}
        self._files = {n: _index(folder / f, stack) for f, n in names.items() if (folder / f).is_file()}
        gender = folder / "spk2gender"
        if gender.is_file():
            self._genders = _index(gender, stack)

    def labels(self, key: str) -> Labels:
        """Of an utterance."""
        found = {name: file.find(key) for name, file in self._files.items()}
        if self._genders is not None:
            found["gender"] = self._genders.find(found.get("speaker") or key)
        return {name: value for name, value in found.items() if value is not None}


def _index(path: Path, stack: contextlib.ExitStack) -> LineIndex:
    index = LineIndex(path)
    stack.callback(index.close)
    return index


def _recording(scp: Path, number: int, line: str) -> tuple[str, str]:
    key, target = (*re.split(r"[ \t]+", line.strip(" \t"), maxsplit=1), "")[:2]
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

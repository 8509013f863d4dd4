"""From a line with named columns to the item that it is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from codectok.audio.reader import AudioReader
from codectok.errors import AudioError, FormatError
from codectok.items.columns import PATHS, Columns, columns_of, labels_of
from codectok.items.item import Item
from codectok.items.lines import bad_line, make_item
from codectok.items.sources import is_member
from codectok.items.times import BadTime, offset_and_duration

_decode = json.JSONDecoder(strict=False).decode
"""Made once: json.loads makes a decoder a line."""


def json_object(source: Path, number: int, line: str) -> dict[str, Any]:
    """One line of JSON; control characters inside its strings are read, though JSON would have them escaped.

    Raises:
        FormatError: it is none, or no object.
    """
    try:
        entry = _decode(line)
    except (ValueError, RecursionError) as e:
        raise bad_line(source, number, f"is not JSON ({getattr(e, 'msg', 'too deep or too long')})") from e
    if not isinstance(entry, dict):
        raise bad_line(source, number, "must be a JSON object")
    return entry


def read_entry(source: Path, number: int, entry: Mapping[str, Any], root: str, file: str | None = None) -> Item:
    """The item of one line, whose audio is a file.

    Args:
        source: the manifest, for messages.
        number: of the line, for messages.
        entry: the line.
        root: that relative paths are relative to.
        file: the column with the audio file; default, the first of ``PATHS`` that the line has.

    Raises:
        FormatError: no audio file, times that are none, or an id of several lines.
    """
    columns = columns_of(tuple(entry))
    file = file or next((n for n in columns.paths if entry[n] not in (None, "")), None)
    if file is None or not isinstance(path := entry[file], str):
        raise bad_line(source, number, f"has no audio file: name it under one of {', '.join(PATHS)}")
    # Another column of that name is somebody else's, and a label as all others are.
    member = None if columns.member is None else entry[columns.member]
    member = member if isinstance(member, str) and is_member(member) else None
    key = id_of(entry, columns)
    try:
        offset, duration = offset_and_duration(columns.times, entry, lambda: _rate(entry, columns, root, path))
    except BadTime as e:
        raise bad_line(source, number, str(e)) from None
    labels = labels_of(entry, (file, columns.id, columns.member if member is not None else None))
    return make_item(source, number, key, path, root, offset, duration, member, labels)


def id_of(entry: Mapping[str, Any], columns: Columns) -> str | None:
    """The id that a line gives; None where it gives none, so that the audio's path names it."""
    value = None if columns.id is None else entry[columns.id]
    return None if value in (None, "") else str(value)


def read_labels_entry(source: Path, number: int, entry: Mapping[str, Any], root: str) -> Item:
    """The item of one line of a table of labels, which need not name an audio file: its id then stands for it.

    Raises:
        FormatError: neither an id nor an audio file.
    """
    columns = columns_of(tuple(entry))
    key = id_of(entry, columns)
    file = next((n for n in columns.paths if isinstance(entry[n], str) and entry[n]), None)
    if key is None and file is None:
        raise bad_line(source, number, f"has no id: name it id, or the audio file one of {', '.join(PATHS)}")
    labels = labels_of(entry, (file, columns.id))
    return make_item(source, number, key, entry[file] if file else "", root, labels=labels)


def _rate(entry: Mapping[str, Any], columns: Columns, root: str, path: str) -> float | None:
    for name in columns.rates:
        try:
            rate = float(entry[name])
        except (TypeError, ValueError):
            continue
        if 0 < rate < float("inf"):
            return rate
    return _rate_of(os.path.normpath(os.path.join(root, path)))


@lru_cache(maxsize=16)
def _rate_of(path: str) -> float | None:
    """By the file's header."""
    try:
        with AudioReader(path) as reader:
            return reader.rate
    except (AudioError, FormatError, OSError):
        return None

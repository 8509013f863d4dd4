"""Manifests with named columns: JSONL, CSV and TSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.items.item import Item
from codectok.items.readers.lines import as_seconds, bad_line, make_item, numbered_lines, open_text, suffix_of
from codectok.items.sources import is_member

PATH_KEYS = ("path", "audio", "audio_filepath", "wav")
"""Names under which manifests give the audio file; the first that is there counts."""


def read_jsonl(source: Path, root: str) -> Iterator[Item]:
    """A JSON object a line: path (or audio, audio_filepath, wav), and perhaps id, offset, duration and member."""
    for number, line in numbered_lines(source):
        yield read_entry(source, number, json_object(source, number, line), root)


def json_object(source: Path, number: int, line: str) -> dict[str, Any]:
    """One line of JSON.

    Raises:
        FormatError: it is none, or no object.
    """
    try:
        entry = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as e:
        raise bad_line(source, number, f"is not JSON ({getattr(e, 'msg', 'too deep')})") from e
    if not isinstance(entry, dict):
        raise bad_line(source, number, "must be a JSON object")
    return entry


def read_table(source: Path, root: str) -> Iterator[Item]:
    """CSV (or, as .tsv, tab-separated and unquoted) with a header that names the columns as in JSONL."""
    with open_text(source, newline="") as f:
        try:
            if suffix_of(source) == ".tsv":
                rows = csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
            else:
                rows = csv.DictReader(f)
            for row in rows:
                if None in row:  # a comma in a path that is not quoted would cut the path
                    raise bad_line(source, rows.line_num, "has more columns than the header: quote or correct it")
                yield read_entry(source, rows.line_num, {k.strip().lower(): v for k, v in row.items()}, root)
        except csv.Error as e:
            raise FormatError(f"{source} cannot be read as a table: {e}") from e


def read_entry(source: Path, number: int, entry: dict[str, Any], root: str) -> Item:
    """The item of one row."""
    path = next((entry[k] for k in PATH_KEYS if entry.get(k) not in (None, "")), None)
    if not isinstance(path, str):
        raise bad_line(source, number, f"has no audio file: name it under one of {', '.join(PATH_KEYS)}")
    key, member = entry.get("id"), entry.get("member")
    offset = as_seconds(source, number, "offset", entry.get("offset"))
    duration = as_seconds(source, number, "duration", entry.get("duration"))
    if duration == 0:
        raise bad_line(source, number, "has duration 0: leave it out for the whole file")
    # Another column of that name is somebody else's, and ignored as all others are.
    member = member if isinstance(member, str) and is_member(member) else None
    return make_item(source, number, None if key in (None, "") else str(key), path, root, offset, duration, member)

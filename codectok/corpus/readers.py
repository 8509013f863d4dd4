"""One reader for each kind of corpus: (source, root) -> items, lazily."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from codectok.corpus.manifest import AUDIO_SUFFIXES, Item
from codectok.errors import FormatError

PATH_KEYS = ("path", "audio", "audio_filepath", "wav")
"""Names under which manifests give the audio file; the first that is there counts."""

Reader = Callable[[Path, str], Iterator[Item]]


def reader_for(source: Path) -> Reader:
    """The reader of a folder or manifest file, by its suffix.

    Raises:
        FormatError: a file of another kind.
    """
    if source.is_dir():
        return read_folder
    readers: dict[str, Reader] = {
        ".txt": read_list,
        ".tsv": read_table if _has_header(source) else read_fairseq,
        ".csv": read_table,
        ".jsonl": read_jsonl,
        ".json": read_jsonl,
        ".scp": read_scp,
    }
    reader = readers.get(source.suffix.lower())
    if reader is None:
        raise FormatError(
            f"{source} is not a known kind of manifest: use .txt (a path a line), .tsv (fairseq), .csv, .jsonl or "
            "wav.scp, or a folder"
        )
    return reader


def root_of(source: Path) -> str:
    """The absolute folder that relative paths of a corpus are relative to."""
    if source.is_dir():
        return os.path.abspath(source)
    folder = os.path.dirname(os.path.abspath(source))
    if reader_for(source) is not read_fairseq:
        return folder
    root = os.path.normpath(os.path.join(folder, _first_line(source).strip()))
    if not os.path.isdir(root):
        raise FormatError(
            f"the first line of {source} must be the folder that its paths are relative to, and {root} is not a "
            "folder: correct that line"
        )
    return root


def read_folder(source: Path, root: str) -> Iterator[Item]:
    """All audio files below a folder, hidden ones left out, ordered by the parts of their relative paths."""
    for relative in _walk(root, "", frozenset()):
        yield _item(source, None, os.path.splitext(relative)[0], relative, root)


def read_list(source: Path, root: str) -> Iterator[Item]:
    """A path a line; blank lines are skipped."""
    for number, line in _lines(source):
        yield _item(source, number, None, line.strip(), root)


def read_fairseq(source: Path, root: str) -> Iterator[Item]:
    """A root line, then ``path<TAB>num_samples``."""
    for number, line in _lines(source):
        if number == 1:
            continue
        path, *rest = line.split("\t")
        if len(rest) > 1 or (rest and not rest[0].strip().isdigit()):
            raise _bad(source, number, "must be path<TAB>num_samples")
        yield _item(source, number, None, path, root)


def read_scp(source: Path, root: str) -> Iterator[Item]:
    """Kaldi's ``id path``; commands and archive offsets are refused."""
    for number, line in _lines(source):
        key, target = (*line.split(None, 1), "", "")[:2]
        target = target.strip()
        if not target:
            raise _bad(source, number, "must be an id and a path")
        if target.endswith("|") or target.startswith("|") or target == "-":
            raise _bad(
                source, number, "is a pipe, and codectok runs no commands: write the audio to files, and list those"
            )
        if re.search(r"\.ark(:\d+)?$", target):
            raise _bad(source, number, "points into an archive: write the audio to files, and list those")
        yield _item(source, number, key, target, root)


def read_jsonl(source: Path, root: str) -> Iterator[Item]:
    """A JSON object a line: path (or audio, audio_filepath, wav), and perhaps id, offset and duration."""
    for number, line in _lines(source):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as e:
            raise _bad(source, number, f"is not JSON ({e.msg})") from e
        if not isinstance(entry, dict):
            raise _bad(source, number, "must be a JSON object")
        yield _entry(source, number, entry, root)


def read_table(source: Path, root: str) -> Iterator[Item]:
    """CSV (or, as .tsv, tab-separated and unquoted) with a header that names the columns as in JSONL."""
    with open(source, encoding="utf-8-sig", newline="") as f:
        try:
            if source.suffix.lower() == ".tsv":
                rows = csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
            else:
                rows = csv.DictReader(f)
            for row in rows:
                yield _entry(source, rows.line_num, {k.strip().lower(): v for k, v in row.items() if k}, root)
        except (csv.Error, UnicodeDecodeError) as e:
            raise FormatError(f"{source} cannot be read as a table: {e}") from e


def _entry(source: Path, number: int, entry: dict[str, Any], root: str) -> Item:
    path = next((entry[k] for k in PATH_KEYS if entry.get(k) not in (None, "")), None)
    if not isinstance(path, str):
        raise _bad(source, number, f"has no audio file: name it under one of {', '.join(PATH_KEYS)}")
    key = entry.get("id")
    offset = _seconds(source, number, "offset", entry.get("offset"))
    duration = _seconds(source, number, "duration", entry.get("duration"))
    if duration == 0:
        raise _bad(source, number, "has duration 0: leave it out for the whole file")
    return _item(source, number, None if key in (None, "") else str(key), path, root, offset, duration)


def _seconds(source: Path, number: int, name: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise _bad(source, number, f"has {name} {value!r}: expected seconds, 0 or more")
    return seconds


def _item(
    source: Path,
    number: int | None,
    key: str | None,
    path: str,
    root: str,
    offset: float | None = None,
    duration: float | None = None,
) -> Item:
    full = os.path.normpath(os.path.join(root, path))
    if key is None:
        # Under the root the id is the relative path, as for a folder; elsewhere the whole path, which is unique too.
        inside = full.startswith(root.rstrip(os.sep) + os.sep)
        key = os.path.splitext(os.path.relpath(full, root) if inside else full.lstrip(os.sep))[0]
    key = Path(key).as_posix() if os.sep != "/" else key
    try:
        key.encode()
    except UnicodeEncodeError as e:
        raise _bad(source, number, f"has the file name {path!r}, which is not UTF-8: rename the file") from e
    if not key.isprintable() and any(ord(c) < 32 or ord(c) == 127 for c in key):
        raise _bad(source, number, f"has the id {key!r}: ids are one line without control characters; rename it")
    return Item(key, full, offset, duration)


def _walk(root: str, relative: str, above: frozenset[str]) -> Iterator[str]:
    folder = os.path.join(root, relative)
    real = os.path.realpath(folder)
    if real in above:  # a link to a folder that contains it
        return
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda e: e.name)
    for entry in found:
        if entry.name.startswith("."):
            continue
        path = os.path.join(relative, entry.name)
        if entry.is_dir():
            yield from _walk(root, path, above | {real})
        elif entry.name.lower().endswith(AUDIO_SUFFIXES):
            yield path


def _lines(source: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank, without their line ends."""
    try:
        with open(source, encoding="utf-8-sig") as f:
            for number, line in enumerate(f, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as e:
        raise FormatError(f"{source} is not UTF-8 text: convert it") from e


def _first_line(source: Path) -> str:
    try:
        with open(source, encoding="utf-8-sig") as f:
            return f.readline().rstrip("\r\n")
    except UnicodeDecodeError as e:
        raise FormatError(f"{source} is not UTF-8 text: convert it") from e


def _has_header(source: Path) -> bool:
    """A .tsv whose first line has columns is a table; fairseq's first line is a folder."""
    return source.suffix.lower() == ".tsv" and "\t" in _first_line(source)


def _bad(source: Path, number: int | None, what: str) -> FormatError:
    return FormatError(f"{source} {what}" if number is None else f"line {number} of {source} {what}")

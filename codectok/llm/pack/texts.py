"""What goes with the utterances of a store: texts, word times and groups, from a table of any usual kind."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.llm.sequence.interleave import Word

ID_KEYS = ("id", "path", "audio", "audio_filepath", "wav")
TEXT_KEYS = ("text", "transcript", "transcription", "sentence", "normalized_text")
TARGET_KEYS = ("target_text", "translation", "answer", "caption")


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes:
        text: what is said.
        target_text: a translation, an answer, a caption.
        words: the words and their times.
        group: utterances that belong together, such as a book or a talk.
        messages: a dialogue.
    """

    text: str | None = None
    target_text: str | None = None
    words: tuple[Word, ...] = ()
    group: str | None = None
    messages: tuple[Mapping[str, Any], ...] = ()


def read_texts(path: str | os.PathLike[str]) -> dict[str, Line]:
    """Lines by id.

    Kinds: .csv, .tsv (with a header; unquoted) and .jsonl, with the columns id (or path, its suffix left out, as the
    store's ids are made), text (or transcript), target_text (or translation, answer, caption), group, words
    ([[word, start, end], ...] in s) and messages (dialogues, .jsonl only); or Kaldi's "id words..." in a .txt or in
    a file named text.

    Raises:
        FormatError: another kind of file, a line that cannot be read, or an id that comes twice.
    """
    source = Path(path)
    found: dict[str, Line] = {}
    for number, key, entry in _entries(source):
        if key in found:
            raise FormatError(f"line {number} of {source}: the id {key!r} comes twice")
        found[key] = _line(entry, number, source)
    if not found:
        raise FormatError(f"{source} has no lines")
    return found


def _entries(source: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    suffix = source.suffix.lower()
    try:
        with open(source, encoding="utf-8-sig", newline="") as file:
            if suffix in (".csv", ".tsv"):
                options: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if suffix == ".tsv" else {}
                rows = csv.DictReader(file, **options)
                for row in rows:
                    yield (
                        rows.line_num,
                        *_keyed({k.strip().lower(): v for k, v in row.items() if k}, rows.line_num, source),
                    )
            elif suffix in (".jsonl", ".json"):
                for number, text in enumerate(file, start=1):
                    if text.strip():
                        yield number, *_keyed(json.loads(text), number, source)
            elif suffix == ".txt" or source.name == "text":
                for number, text in enumerate(file, start=1):
                    if text.strip():
                        key, *rest = text.rstrip("\r\n").split(None, 1)
                        yield number, key, {"text": rest[0] if rest else ""}
            else:
                raise FormatError(
                    f"{source} is not a known kind of table: use .tsv, .csv, .jsonl or .txt (id words...)"
                )
    except (csv.Error, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{source} cannot be read as a table: {error}") from error


def _keyed(entry: Any, number: int, source: Path) -> tuple[str, dict[str, Any]]:
    name = next((k for k in ID_KEYS if isinstance(entry, dict) and entry.get(k) not in (None, "")), None)
    if name is None:
        raise FormatError(f"line {number} of {source} has no id: name it under one of {', '.join(ID_KEYS)}")
    key = str(entry[name])
    return (key if name == "id" else os.path.splitext(os.path.normpath(key))[0]), entry


def _line(entry: dict[str, Any], number: int, source: Path) -> Line:
    try:
        words = entry.get("words") or []
        words = json.loads(words) if isinstance(words, str) else words
        return Line(
            text=_first(entry, TEXT_KEYS),
            target_text=_first(entry, TARGET_KEYS),
            words=tuple(Word(str(w), float(start), float(end)) for w, start, end in words),
            group=_first(entry, ("group",)),
            messages=tuple({"role": m["role"], "content": m["content"]} for m in entry.get("messages") or ()),
        )
    except (TypeError, ValueError, KeyError) as error:
        raise FormatError(f"line {number} of {source} is damaged ({error!r})") from error


def _first(entry: dict[str, Any], names: tuple[str, ...]) -> str | None:
    found = next((entry[name] for name in names if entry.get(name) not in (None, "")), None)
    return None if found is None else str(found)

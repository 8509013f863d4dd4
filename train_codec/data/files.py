"""Entries of folders and manifests, by the readers that tokenizing a corpus uses."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path

from codectok.errors import AudioError, FormatError
from codectok.items.corpus import read_corpus
from codectok.items.item import Item
from codectok.items.readers import read_jsonl, read_table, reader_for
from train_codec.data.entries import Entry

USE_KEYS = ("use", "split")
SPEAKER_KEYS = ("speaker", "speaker_id", "spk")
Labels = tuple[str, str]


def file_entries(source: Path) -> list[Entry]:
    """Entries of a folder (walked, sorted) or a manifest; its columns ``use`` or ``split``, and ``speaker``, are read.

    Raises:
        FormatError: not a manifest that codectok reads, or a malformed line.
    """
    corpus = read_corpus(source)
    reader = reader_for(source)
    labels: Iterable[Labels] = repeat(("", ""))
    if reader is read_table:
        labels = _table_labels(source)
    elif reader is read_jsonl:
        labels = _jsonl_labels(source)
    # Both readers give one item a row, so labels and items go side by side.
    found = [_entry(item, use, speaker) for item, (use, speaker) in zip(corpus, labels, strict=False)]
    if not found:
        raise AudioError(f"no audio in {source}: give a folder with audio files, or a manifest that lists some")
    return found


def list_clips(root: Path, splits: Path, use: str) -> list[str]:
    """Paths (relative to ``root``) of the clips that ``splits`` marks with ``use``."""
    with open(splits, newline="") as f:
        table = csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
        if not {"path", "use"} <= set(table.fieldnames or ()):
            raise FormatError(f"{splits} has no columns 'path' and 'use': give a tab-separated table with both")
        rows = [r for r in table if r["use"] == use or not use]
    if not rows:
        raise AudioError(f"no clip of {splits} is marked {use!r}: choose one of the values in its 'use' column")
    return [r["path"] for r in rows]


def path_entries(root: Path, paths: Iterable[str]) -> list[Entry]:
    """Entries of files given relative to ``root``; the ids are the paths as given."""
    return [_entry(Item(path, os.path.normpath(root / path))) for path in paths]


def _entry(item: Item, use: str = "", speaker: str = "") -> Entry:
    try:
        size = os.path.getsize(item.path)
    except OSError:
        size = 0
    return Entry(item, use, speaker, size=size)


def label(row: dict[str, object], keys: tuple[str, ...]) -> str:
    """The first of ``keys`` that the row has, as text; "" if none."""
    return next((str(row[k]).strip() for k in keys if row.get(k) not in (None, "")), "")


def _table_labels(source: Path) -> Iterator[Labels]:
    with open(source, encoding="utf-8-sig", newline="") as f:
        tabs = source.suffix.lower() == ".tsv"
        rows = csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.DictReader(f)
        for row in rows:
            lower = {k.strip().lower(): v for k, v in row.items() if k}
            yield label(lower, USE_KEYS), label(lower, SPEAKER_KEYS)


def _jsonl_labels(source: Path) -> Iterator[Labels]:
    with open(source, encoding="utf-8-sig") as f:
        for line in f:
            if line.strip():
                row = json.loads(line)
                yield label(row, USE_KEYS), label(row, SPEAKER_KEYS)

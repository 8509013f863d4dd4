"""Labels by id, from any manifest, also from one that names no audio: what is joined to a store made before."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from codectok.errors import FormatError
from codectok.items.corpus import read_corpus
from codectok.items.entries import json_object, read_labels_entry
from codectok.items.item import Item
from codectok.items.lines import make_item, numbered_lines
from codectok.items.readers import root_of
from codectok.items.readers.kinds import kind_of
from codectok.items.tables import table_rows
from codectok.items.word_times import aligned_items, is_alignment

_KALDI = {"text": "text", "utt2spk": "speaker", "utt2lang": "language"}


def labelled_items(path: str | os.PathLike[str]) -> Iterator[tuple[int, Item]]:
    """Yield the items of a manifest with their labels, and a line's number or an item's, from 1.

    Ids are those that a store of the manifest has, and each comes once. A table or JSONL may give ids alone, without
    audio files. A .txt is read as Kaldi's ``text``, an id and the words, and so is a file called text, utt2spk or
    utt2lang. A CTM, a TextGrid, and a folder of TextGrids or of MFA's tables give words with their times. What else
    :func:`codectok.items.corpus.read_corpus` reads is read here too.

    Raises:
        CodectokError: there is no such file or folder.
        FormatError: a line that has no id, or is none; an id that comes twice; nothing in it.
    """
    seen: set[str] = set()
    for number, item in _items(Path(path)):
        if item.id in seen:
            raise FormatError(f"line {number} of {path}: the id {item.id!r} comes twice", path=path)
        seen.add(item.id)
        yield number, item
    if not seen:
        raise FormatError(f"{path} has no lines: give a manifest with the labels", path=path)


def read_labels(path: str | os.PathLike[str]) -> dict[str, Item]:
    """All items of a manifest by id, as :func:`labelled_items` yields them, with its errors."""
    return {item.id: item for _, item in labelled_items(path)}


def _items(source: Path) -> Iterator[tuple[int, Item]]:
    if source.exists() and is_alignment(source):
        yield from aligned_items(source)
        return
    if source.is_file():
        name = _KALDI.get(source.name.removesuffix(".gz")) or ("text" if _is_text(source) else None)
        if name is not None:
            yield from _kaldi(source, name)
            return
        kind = kind_of(source)
        if kind in ("table", "jsonl"):
            yield from _lines(source, kind)
            return
    yield from enumerate(read_corpus(source), start=1)


def _is_text(source: Path) -> bool:
    """A .txt of labels, not of tar shards."""
    return source.name.lower().removesuffix(".gz").endswith(".txt") and kind_of(source) == "list"


def _kaldi(source: Path, name: str) -> Iterator[tuple[int, Item]]:
    root = root_of(source.parent)
    for number, line in numbered_lines(source, "\n"):
        key, *rest = re.split(r"[ \t]+", line.strip(" \t"), maxsplit=1)
        yield number, make_item(source, number, key, "", root, labels={name: rest[0]} if rest else {})


def _lines(source: Path, kind: str) -> Iterator[tuple[int, Item]]:
    root = root_of(source)
    if kind == "table":
        for number, row in table_rows(source):
            entry = {name: cell or None for name, cell in row.items()}
            yield number, read_labels_entry(source, number, entry, root)
        return
    for number, line in numbered_lines(source, "\n"):
        yield number, read_labels_entry(source, number, json_object(source, number, line), root)

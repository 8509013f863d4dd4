"""Manifests with named columns: JSONL, CSV and TSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.items.entries import json_object, read_entry
from codectok.items.item import Item
from codectok.items.lines import numbered_lines
from codectok.items.tables import table_rows


def read_jsonl(source: Path, root: str) -> Iterator[Item]:
    """A JSON object a line, with the columns of :mod:`codectok.items.columns`; only a line feed ends a line."""
    for number, line in numbered_lines(source, newline="\n"):
        yield read_entry(source, number, json_object(source, number, line), root)


def read_table(source: Path, root: str) -> Iterator[Item]:
    """A table with a header that names the columns as in JSONL; an empty cell is a column that the line lacks."""
    for number, row in table_rows(source):
        yield read_entry(source, number, {name: cell or None for name, cell in row.items()}, root)

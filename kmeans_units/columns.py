"""What a manifest says of its clips beyond their audio: transcript, speaker, language and any other column."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from codectok.errors import CodectokError, FormatError
from codectok.items.corpus import Corpus
from codectok.items.item import Item
from codectok.metrics.segments import ClipNames
from kmeans_units.names import clip_name, relative

TRANSCRIPTS = ("transcript", "text", "sentence")
SPEAKERS = ("speaker", "speaker_id", "spk", "client_id")


@dataclass(frozen=True)
class Row:
    """A clip and its columns, by their names in lower case."""

    item: Item
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def transcript(self) -> str:
        """What is said; "" where that is not known."""
        return next((self.columns[k] for k in TRANSCRIPTS if self.columns.get(k)), "")

    @property
    def speaker(self) -> str:
        """Who speaks; the clip's own id where that is not known."""
        return next((self.columns[k] for k in SPEAKERS if self.columns.get(k)), self.item.id)


def read_rows(corpus: Corpus, join: Path | None = None, where: Sequence[str] = ()) -> list[Row]:
    """The clips of a corpus with the columns of its manifest.

    Args:
        corpus: a table (.csv, .tsv) or JSONL has columns; other kinds have none.
        join: a table with a column ``path``, whose other columns are added; the clips are found by path or id.
        where: ``column=pattern`` each, with * and ?: only clips for which all hold.

    Raises:
        FormatError: a table without the column ``path``.
        CodectokError: no clip is left, or a pattern without a column.
    """
    items = list(corpus)
    tables = _columns(corpus.source)
    rows = [Row(item, tables[i] if i < len(tables) else {}) for i, item in enumerate(items)]
    if join is not None:
        _join(rows, join, corpus.root)
    for condition in where:
        column, equals, pattern = condition.partition("=")
        if not equals or not any(column in r.columns for r in rows):
            known = ", ".join(sorted({c for r in rows for c in r.columns})) or "none"
            raise CodectokError(f"--where {condition}: give COLUMN=PATTERN; the columns are {known}")
        rows = [r for r in rows if fnmatchcase(r.columns.get(column, ""), pattern)]
    if not rows:
        raise CodectokError(f"no clip of {corpus.source} is left: see --where")
    return rows


def _columns(source: Path) -> list[dict[str, str]]:
    """Of each line of a manifest, in order; [] for a kind that has none."""
    suffix = source.suffix.lower() if source.is_file() else ""
    if suffix in (".json", ".jsonl"):
        with open(source, encoding="utf-8-sig") as file:
            found = [json.loads(line) for line in file if line.strip()]
        return [{k.lower(): str(v) for k, v in row.items() if v is not None} for row in found]
    if suffix not in (".csv", ".tsv"):
        return []
    return _table(source)


def _table(source: Path) -> list[dict[str, str]]:
    with open(source, encoding="utf-8-sig", newline="") as file:
        tabs = source.suffix.lower() == ".tsv"
        table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.DictReader(file)
        if len(table.fieldnames or ()) < 2:
            return []
        return [{k.strip().lower(): v or "" for k, v in row.items() if k} for row in table]


def _join(rows: list[Row], path: Path, root: str) -> None:
    table = _table(path)
    if not table or "path" not in table[0]:
        raise FormatError(f"{path} has no column path to find the clips by")
    names = ClipNames(r["path"] for r in table)
    by_path = {r["path"]: r for r in table}
    for row in rows:
        # A table of files says of each segment what it says of its file, unless it has a row for the segment itself.
        item = row.item
        name = names.find(clip_name(item, root), relative(item, root), item.path, item.id)
        if name is not None:
            row.columns.update({k: v for k, v in by_path[name].items() if k != "path"})

"""What a manifest says of its clips beyond their audio: transcript, speaker, language and any other column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from codectok.errors import CodectokError
from codectok.items.columns import ALIASES, labels_of
from codectok.items.corpus import Corpus
from codectok.items.item import Item
from codectok.items.labels import Labels, as_text
from codectok.items.tables import table_rows
from codectok.metrics.segments import ClipNames
from kmeans_units.names import clip_name, relative


@dataclass(frozen=True)
class ClipRow:
    """A clip and its columns, by their names in lower case; text, speaker and language are called that."""

    item: Item
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def transcript(self) -> str:
        """What is said; "" where that is not known."""
        return self.columns.get("text", "")

    @property
    def speaker(self) -> str:
        """Who speaks; the clip's own id where that is not known."""
        return self.columns.get("speaker") or self.item.id


def read_rows(corpus: Corpus, join: Path | None = None, where: Sequence[str] = ()) -> list[ClipRow]:
    """The clips of a corpus with the columns of its manifest.

    Args:
        corpus: of any kind.
        join: a table with a column ``path``, whose other columns are added; the clips are found by path or id.
        where: ``column=pattern`` each, with * and ?: only clips for which all hold. A column is called as here or as in
            the manifest; ``id`` and ``path`` are columns too.

    Raises:
        FormatError: a table without the column ``path``.
        CodectokError: no clip is left, or a pattern without a column.
    """
    rows = [ClipRow(item, _columns(item.labels)) for item in corpus]
    if join is not None:
        _join(rows, join, corpus.root)
    for condition in where:
        name, equals, pattern = condition.partition("=")
        column = _own_name(name)
        if not equals or not (column in ("id", "path") or any(column in r.columns for r in rows)):
            known = ", ".join(sorted({c for r in rows for c in r.columns})) or "none"
            raise CodectokError(f"--where {condition}: give COLUMN=PATTERN; the columns are {known}")
        rows = [r for r in rows if fnmatchcase(_cell(r, column, corpus.root), pattern)]
    if not rows:
        raise CodectokError(f"no clip of {corpus.source} is left: see --where")
    return rows


def _columns(labels: Labels) -> dict[str, str]:
    return {name.lower(): text for name, value in labels.items() if (text := as_text(value)) is not None}


def _own_name(name: str) -> str:
    """The name of a column here: of ``client_id``, speaker."""
    lower = name.strip().lower()
    return next((own for own, names in ALIASES.items() if lower in names), lower)


def _cell(row: ClipRow, column: str, root: str) -> str:
    own = {"id": row.item.id, "path": relative(row.item, root)}
    return row.columns.get(column, own.get(column, ""))


def _join(rows: list[ClipRow], path: Path, root: str) -> None:
    by_path = {row["path"]: _columns(labels_of(row, ("path",))) for _, row in table_rows(path, ("path",))}
    names = ClipNames(by_path)
    for row in rows:
        # A table of files says of each segment what it says of its file, unless it has a row for the segment itself.
        item = row.item
        name = names.find(clip_name(item, root), relative(item, root), item.path, item.id)
        if name is not None:
            row.columns.update(by_path[name])

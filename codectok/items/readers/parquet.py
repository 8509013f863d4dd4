"""Parquet files with audio in them, as Hugging Face datasets are published; the audio itself is not read here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.extras import need
from codectok.files.suffixes import UNREAD_SUFFIXES
from codectok.items.item import Item
from codectok.items.readers.audio_column import AudioColumn, audio_column, names_repeat, row_item
from codectok.items.readers.folder import not_taken, walk

_ROWS = 1024


def read_parquet(source: Path, root: str) -> Iterator[Item]:
    """The rows of one file, or of all below a folder."""
    need("parquet files need", "scale", "pyarrow")
    files = [os.path.abspath(source)]
    if source.is_dir():
        found = list(walk(root, (".parquet", *UNREAD_SUFFIXES), unlisted=True))
        taken = {p for p in found if p.lower().endswith(".parquet") and os.path.isfile(os.path.join(root, p))}
        for relative in found:
            if relative not in taken:
                yield from not_taken(source, relative, root)
        files = [os.path.join(root, p) for p in found if p in taken]
    unique = not names_repeat(name for path in files for name in _names(path))
    for path in files:
        with _opened(path) as (file, column):
            yield from _rows(path, root, file, column, unique)


def _rows(path: str, root: str, file: Any, column: AudioColumn, unique: bool) -> Iterator[Item]:
    at = 0
    wanted = [*column.light, *([column.path] if column.named else [])]
    for group in range(file.num_row_groups):
        row = 0
        for batch in file.iter_batches(_ROWS, [group], columns=wanted, use_threads=False) if wanted else ():
            for values in batch.to_pylist():
                if column.named:
                    values[column.path] = (values.pop(column.name) or {}).get("path")
                yield row_item(path, root, column, values, at, f"parquet:{group}:{row}:{column.name}", unique)
                at, row = at + 1, row + 1
        for rest in range(row, file.metadata.row_group(group).num_rows):  # nothing but audio: rows without names
            yield row_item(path, root, column, {}, at, f"parquet:{group}:{rest}:{column.name}", unique)
            at += 1


def _names(path: str) -> Iterator[str | None]:
    """Of the audio, where rows have no ids of their own."""
    with _opened(path) as (file, column):
        if column.named and "id" not in (name.lower() for name in column.light):
            for batch in file.iter_batches(_ROWS, columns=[column.path], use_threads=False):
                yield from ((cell or {}).get("path") for cell in batch.column(0).to_pylist())


@contextmanager
def _opened(path: str) -> Iterator[tuple[Any, AudioColumn]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file, audio_column(path, file.schema_arrow)
    except (pa.ArrowException, OSError) as e:
        raise FormatError(
            f"{path} cannot be read as parquet ({' '.join(str(e).split())[:200]}): copy it again", path=path
        ) from e

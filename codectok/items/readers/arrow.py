"""Hugging Face dataset folders: arrow files, mapped into memory, not read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.extras import need
from codectok.files.inside import inside, safe_name
from codectok.items.item import Item
from codectok.items.readers.audio_column import AudioColumn, audio_column, names_repeat, row_item
from codectok.items.readers.folder import walk
from codectok.items.rows import open_arrow

_ROWS = 1024


def read_arrow(source: Path, root: str) -> Iterator[Item]:
    """The rows of one .arrow file, or of a folder that ``save_to_disk`` wrote, a dataset or several splits of one."""
    need("arrow files need", "scale", "pyarrow")
    files = _files(source)
    unique = not names_repeat(name for path in files for name in _names(path))
    for path in files:
        table, column = _opened(path)
        yield from _rows(path, root, table, column, unique)


def _files(source: Path) -> list[str]:
    if not source.is_dir():
        return [os.path.abspath(source)]
    try:
        if (source / "dataset_dict.json").is_file():
            splits = json.loads((source / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
            return [path for split in splits for path in _files(inside(source, split, source / "dataset_dict.json"))]
        if (source / "state.json").is_file():
            state = json.loads((source / "state.json").read_text(encoding="utf-8"))
            return [
                os.path.abspath(source / safe_name(f["filename"], source / "state.json")) for f in state["_data_files"]
            ]
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise FormatError(f"{source} is a damaged dataset folder ({e}): save it again", path=source) from e
    return [os.path.abspath(source / p) for p in walk(str(source), (".arrow",))]


def _rows(path: str, root: str, table: Any, column: AudioColumn, unique: bool) -> Iterator[Item]:
    light = table.select(column.light)
    if column.named:
        light = light.append_column(column.path, table.select([column.name]).flatten()[column.path])
    at = 0
    for batch in light.to_batches(_ROWS) if light.num_columns else ():
        for values in batch.to_pylist():
            yield row_item(path, root, column, values, at, f"arrow:{at}:{column.name}", unique)
            at += 1
    for row in range(at, table.num_rows):  # nothing but audio: rows without names
        yield row_item(path, root, column, {}, row, f"arrow:{row}:{column.name}", unique)


def _names(path: str) -> Iterator[str | None]:
    """Of the audio, where rows have no ids of their own."""
    table, column = _opened(path)
    if column.named and "id" not in (name.lower() for name in column.light):
        for batch in table.select([column.name]).flatten().select([column.path]).to_batches(_ROWS):
            yield from batch.column(0).to_pylist()


def _opened(path: str) -> tuple[Any, AudioColumn]:
    import pyarrow as pa

    try:
        table = open_arrow(path)
    except (pa.ArrowException, OSError) as e:
        raise FormatError(
            f"{path} cannot be read as arrow ({' '.join(str(e).split())[:200]}): copy it again", path=path
        ) from e
    return table, audio_column(path, table.schema)

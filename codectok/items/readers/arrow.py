"""Hugging Face dataset folders: arrow files, mapped into memory, not read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from codectok.errors import FormatError
from codectok.items.item import Item
from codectok.items.readers.columns import audio_column, row_item
from codectok.items.readers.folder import walk


def read_arrow(source: Path, root: str) -> Iterator[Item]:
    """The rows of one .arrow file, or of a folder that ``save_to_disk`` wrote, a dataset or several splits of one."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ImportError("arrow files need pyarrow: pip install pyarrow") from None
    for path in _files(source):
        yield from _rows(path, root)


def _files(source: Path) -> list[str]:
    if not source.is_dir():
        return [os.path.abspath(source)]
    try:
        if (source / "dataset_dict.json").is_file():
            splits = json.loads((source / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
            return [path for split in splits for path in _files(source / split)]
        if (source / "state.json").is_file():
            state = json.loads((source / "state.json").read_text(encoding="utf-8"))
            return [os.path.abspath(source / f["filename"]) for f in state["_data_files"]]
    except (json.JSONDecodeError, KeyError, TypeError) as e:
        raise FormatError(f"{source} is a damaged dataset folder ({e}): save it again") from e
    return [os.path.abspath(source / p) for p in walk(str(source), (".arrow",))]


def _rows(path: str, root: str) -> Iterator[Item]:
    import pyarrow as pa

    from codectok.items.rows import open_arrow

    try:
        table = open_arrow(path)
    except (pa.ArrowException, OSError) as e:
        raise FormatError(f"{path} cannot be read as arrow ({' '.join(str(e).split())[:200]}): copy it again") from e
    column = audio_column(path, table.schema)
    light = table.flatten().select(column.light) if column.light else None
    at = 0
    for batch in light.to_batches(1024) if light is not None else ():
        for values in batch.to_pylist():
            if column.embedded and f"{column.name}.path" in values:
                values[column.name] = {"path": values[f"{column.name}.path"]}
            yield row_item(path, root, column, values, at, f"arrow:{at}:{column.name}")
            at += 1
    for row in range(at, table.num_rows):
        yield row_item(path, root, column, {}, row, f"arrow:{row}:{column.name}")

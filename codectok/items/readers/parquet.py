"""Parquet files with audio in them, as Hugging Face datasets are published; only ids and names are read here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from codectok.errors import FormatError
from codectok.items.item import Item
from codectok.items.readers.columns import audio_column, row_item
from codectok.items.readers.folder import walk

_ROWS = 1024


def read_parquet(source: Path, root: str) -> Iterator[Item]:
    """The rows of one file, or of all below a folder."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ImportError("parquet files need pyarrow: pip install pyarrow") from None
    files = [os.path.join(root, p) for p in walk(root, (".parquet",))] if source.is_dir() else [os.path.abspath(source)]
    for path in files:
        yield from _rows(path, root)


def _rows(path: str, root: str) -> Iterator[Item]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            column = audio_column(path, file.schema_arrow)
            at = 0
            for group in range(file.num_row_groups):
                row = 0
                for batch in file.iter_batches(_ROWS, [group], columns=column.light, use_threads=False):
                    for values in batch.to_pylist():
                        yield row_item(path, root, column, values, at, f"parquet:{group}:{row}:{column.name}")
                        at, row = at + 1, row + 1
                missing = file.metadata.row_group(group).num_rows - row
                for _ in range(missing if not column.light else 0):  # no light columns at all: rows without names
                    yield row_item(path, root, column, {}, at, f"parquet:{group}:{row}:{column.name}")
                    at, row = at + 1, row + 1
    except (pa.ArrowException, OSError) as e:
        raise FormatError(f"{path} cannot be read as parquet ({' '.join(str(e).split())[:200]}): copy it again") from e

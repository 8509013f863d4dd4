"""Audio in the rows of parquet and arrow files, with a small cache: rows are asked for in any order within a shard."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO

from codectok.errors import AudioError

CACHE_BYTES = 256 * 2**20
"""Of audio as it is in parquet files, a process; a row group that is larger is held alone."""
OPEN_FILES = 8
"""Arrow files that are kept mapped into memory."""


class _Cache:
    """The values used last, within a sum of their sizes."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._values: OrderedDict[tuple[Any, ...], tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[Any, ...], make: Callable[[], tuple[Any, int]]) -> Any:
        """The value of ``key``; ``make`` gives it and its size."""
        with self._lock:  # held while making: two threads that want one row group read it once
            if key not in self._values:
                value, size = make()
                self._values[key] = value, size
                self._held += size
                while self._held > self._limit and len(self._values) > 1:
                    self._held -= self._values.popitem(last=False)[1][1]
            self._values.move_to_end(key)
            return self._values[key][0]


_groups = _Cache(CACHE_BYTES)
_tables = _Cache(OPEN_FILES)


def read_cell(path: str, kind: str, where: str, name: str) -> BinaryIO | str:
    """The audio of one row: its encoded bytes as a file, or the path that stands there instead.

    Args:
        path: of the parquet or arrow file.
        kind: "parquet" or "arrow".
        where: what follows the kind in ``Item.member``.
        name: for messages.

    Raises:
        AudioError: the file cannot be read, or there is no audio in the row.
    """
    import pyarrow as pa

    try:
        if kind == "parquet":
            group, row, column = where.split(":", 2)
            values = _groups.get((path, int(group), column), lambda: _row_group(path, int(group), column))
        else:
            row, column = where.split(":", 1)
            values = _tables.get((path, column), lambda: (_column(path, column), 1))
        cell = values[int(row)].as_py()
    except (OSError, pa.ArrowException, IndexError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise AudioError(f"{name} cannot be read ({reason}): copy the file again") from None
    data, file = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if isinstance(data, bytes):
        return io.BytesIO(data)
    if file:
        return str(file)
    raise AudioError(f"{name} holds no audio: leave the row out")


def _row_group(path: str, group: int, column: str) -> tuple[Any, int]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        values = file.read_row_group(group, columns=[column], use_threads=False)[column]
    return values, values.nbytes


def _column(path: str, column: str) -> Any:
    return open_arrow(path)[column]


def schema_of(path: str) -> Any:
    """The columns of a parquet or arrow file."""
    import pyarrow.parquet as pq

    return pq.read_schema(path) if path.lower().endswith(".parquet") else open_arrow(path).schema


def open_arrow(path: str) -> Any:
    """An arrow file or stream as a table that is mapped into memory, not read."""
    import pyarrow as pa

    source = pa.memory_map(path)
    file = bytes(source.read(6)) == b"ARROW1"
    source.seek(0)
    return pa.ipc.open_file(source).read_all() if file else pa.ipc.open_stream(source).read_all()

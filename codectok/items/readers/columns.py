"""Which column of a table holds the audio, and the item of a row: shared by parquet and arrow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.items.item import Item
from codectok.items.readers.lines import as_seconds, escaped, make_item
from codectok.items.readers.tables import PATH_KEYS

_NAMES = ("audio", *PATH_KEYS, "bytes")


@dataclass(frozen=True)
class AudioColumn:
    """The column with the audio.

    Attributes:
        name: of the column.
        embedded: whether it holds encoded audio; else paths.
        light: the columns to read for ids and paths, without the audio itself.
    """

    name: str
    embedded: bool
    light: list[str]


def audio_column(path: str, schema: Any) -> AudioColumn:
    """Find the audio among the columns of a pyarrow schema.

    It is a struct with ``bytes`` (and ``path``), bytes, or paths as text; a column called audio comes first.

    Raises:
        FormatError: there is none.
    """
    import pyarrow as pa

    names = sorted(schema.names, key=lambda n: _NAMES.index(n) if n in _NAMES else len(_NAMES))
    extra = [n for n in ("id", "offset", "duration") if n in schema.names]
    for name in names:
        kind = schema.field(name).type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            has_path = kind.get_field_index("path") >= 0
            return AudioColumn(name, True, [n for n in extra if n == "id"] + ([f"{name}.path"] if has_path else []))
        if name in _NAMES and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            return AudioColumn(name, True, [n for n in extra if n == "id"])
        if name in PATH_KEYS and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            return AudioColumn(name, False, [*extra, name])
    raise FormatError(
        f"{path} has no column of audio (its columns: {', '.join(schema.names[:12])}): expected a struct of bytes and "
        "path as Hugging Face datasets have, or paths under 'path'"
    )


def row_item(path: str, root: str, column: AudioColumn, values: dict[str, Any], at: int, member: str) -> Item:
    """The item of row ``at``; its id is the column ``id``, else the audio's own name, else file and row."""
    source, key = Path(path), values.get("id")
    key = None if key in (None, "") else str(key)
    if not column.embedded:
        file = values.get(column.name)
        if not file:
            raise FormatError(f"row {at} of {path} has no audio file: leave the row out")
        offset, duration = (as_seconds(source, at, name, values.get(name)) for name in ("offset", "duration"))
        inside = os.path.join(os.path.dirname(path), file)
        return make_item(source, None, key, inside, root, offset, duration or None)
    if key is None:
        cell = values.get(column.name)
        name = cell.get("path") if isinstance(cell, dict) else None
        stem = os.path.splitext(os.path.relpath(path, root))[0]
        key = escaped(os.path.splitext(name)[0].lstrip("/") if name else f"{stem}/{at}")
    return make_item(source, None, key, path, root, member=member)

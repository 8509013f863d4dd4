"""Which column of a table holds the audio, and the item of a row: shared by parquet and arrow."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.items.columns import PATHS, columns_of, labels_of
from codectok.items.entries import id_of, read_entry
from codectok.items.hashes import repeated, short_hash
from codectok.items.item import Item
from codectok.items.lines import escaped, make_item

_NAMES = ("audio", *PATHS, "bytes")


@dataclass(frozen=True)
class AudioColumn:
    """The column with the audio.

    Attributes:
        name: of the column.
        embedded: whether it holds encoded audio; else paths.
        named: whether a name stands beside embedded audio.
        light: the columns to read for ids and labels, without the audio itself: all but those of bytes.
    """

    name: str
    embedded: bool
    named: bool
    light: list[str]

    @property
    def path(self) -> str:
        """The field with the name of embedded audio."""
        return f"{self.name}.path"


def audio_column(path: str, schema: Any) -> AudioColumn:
    """Find the audio among the columns of a pyarrow schema.

    It is a struct with ``bytes`` (and ``path``), bytes, or paths as text; a column called audio comes first.

    Raises:
        FormatError: there is none.
    """
    import pyarrow as pa

    light = [name for name in schema.names if not _has_bytes(schema.field(name).type)]
    for name in sorted(schema.names, key=lambda n: _NAMES.index(n.lower()) if n.lower() in _NAMES else len(_NAMES)):
        kind = schema.field(name).type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return AudioColumn(name, True, kind.get_field_index("path") >= 0, [n for n in light if n != name])
        if name.lower() in _NAMES and _is_bytes(kind):
            return AudioColumn(name, True, False, light)
        if name.lower() in PATHS and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            return AudioColumn(name, False, False, light)
    raise FormatError(
        f"{path} has no column of audio (its columns: {', '.join(schema.names[:12])}): expected a struct of bytes and "
        "path as Hugging Face datasets have, or paths under 'path'",
        path=path,
    )


def names_repeat(names: Iterable[str | None]) -> bool:
    """Whether two pieces of embedded audio have one name, as ``audio.wav`` in every row: then no name is an id."""
    return bool(repeated(array("Q", (short_hash(_stem(name)) for name in names if name))))


def row_item(
    path: str, root: str, column: AudioColumn, values: Mapping[str, Any], at: int, member: str, unique: bool
) -> Item:
    """The item of row ``at``.

    Its id is the column ``id``, else the name of its audio where ``unique`` says that names are ids, else the file and
    the row.
    """
    source = Path(path)
    if not column.embedded:
        file = values.get(column.name)
        if not file:
            raise FormatError(f"row {at} of {path} has no audio file: leave the row out", path=path)
        entry = {**values, column.name: os.path.join(os.path.dirname(path), file)}
        return read_entry(source, at, entry, root, column.name)
    entry = {name: value for name, value in values.items() if name != column.path}
    columns = columns_of(tuple(entry))
    key, name = id_of(entry, columns), values.get(column.path)
    if key is None:
        stem = os.path.splitext(os.path.relpath(path, root))[0]
        key = _stem(name) if name and unique else escaped(f"{stem}/{at}")
    labels = labels_of(entry, (columns.id,), contained=True)
    return make_item(source, None, key, path, root, member=member, labels=labels)


def _stem(name: str) -> str:
    return escaped(os.path.splitext(name)[0].lstrip("/"))


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _has_bytes(kind: Any) -> bool:
    """Whether values of a type hold bytes at any depth: audio, pictures, no labels."""
    return _is_bytes(kind) or any(_has_bytes(kind.field(i).type) for i in range(kind.num_fields))

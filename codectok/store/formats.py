"""The formats by name. A new one is a class after :class:`~codectok.store.base.StoreFormat` and an entry here."""

from __future__ import annotations

from codectok.errors import FormatError
from codectok.store.base import StoreFormat
from codectok.store.fairseq import FairseqFormat
from codectok.store.jsonl import JsonlFormat
from codectok.store.parquet import ParquetFormat

FORMATS: dict[str, StoreFormat] = {f.name: f for f in (ParquetFormat(), JsonlFormat(), FairseqFormat())}


def get_format(name: str) -> StoreFormat:
    """The format of that name.

    Raises:
        FormatError: there is none.
    """
    if name not in FORMATS:
        raise FormatError(f"no store format {name!r}: choose one of {', '.join(FORMATS)}")
    return FORMATS[name]

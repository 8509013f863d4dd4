"""The formats by name. A new one is a class after :class:`~codectok.store.base.StoreFormat`, an entry here and a name
in ``names.py``.
"""

from __future__ import annotations

from codectok.errors import FormatError
from codectok.store.base import StoreFormat
from codectok.store.formats.espnet import EspnetFormat
from codectok.store.formats.fairseq import FairseqFormat
from codectok.store.formats.gslm import GslmFormat
from codectok.store.formats.jsonl import JsonlFormat
from codectok.store.formats.kaldi import KaldiFormat
from codectok.store.formats.lhotse import LhotseFormat
from codectok.store.formats.parquet import ParquetFormat
from codectok.store.formats.textless import TextlessFormat
from codectok.store.formats.webdataset import WebdatasetFormat

_ALL: tuple[StoreFormat, ...] = (
    ParquetFormat(), JsonlFormat(), FairseqFormat(), GslmFormat(), TextlessFormat(), EspnetFormat(), KaldiFormat(),
    WebdatasetFormat(), LhotseFormat(),
)  # fmt: skip
FORMATS: dict[str, StoreFormat] = {f.name: f for f in _ALL}


def get_format(name: str) -> StoreFormat:
    """The format of that name.

    Raises:
        FormatError: there is none.
    """
    if name not in FORMATS:
        raise FormatError(f"no store format {name!r}: choose one of {', '.join(FORMATS)}")
    return FORMATS[name]

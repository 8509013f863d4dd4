"""One reader for each kind of corpus: (source, root) -> items, lazily, in an order that is always the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from codectok.errors import FormatError
from codectok.items.item import Item
from codectok.items.lines import first_line
from codectok.items.readers.kinds import kind_of
from codectok.items.readers.tables import read_jsonl, read_table

__all__ = ["Reader", "read_jsonl", "read_table", "reader_for", "root_of"]

Reader = Callable[[Path, str], Iterator[Item]]

_READERS = {
    "folder": "folder:read_folder",
    "list": "lists:read_list",
    "fairseq": "lists:read_fairseq",
    "kaldi": "kaldi:read_kaldi",
    "table": "tables:read_table",
    "jsonl": "tables:read_jsonl",
    "lhotse": "lhotse:read_lhotse",
    "webdataset": "webdataset:read_webdataset",
    "parquet": "parquet:read_parquet",
    "arrow": "arrow:read_arrow",
}


def reader_for(source: Path) -> Reader:
    """The reader of a folder or manifest file.

    Raises:
        FormatError: none reads it.
    """
    module, _, function = _READERS[kind_of(source)].partition(":")
    reader: Reader = getattr(import_module(f"{__name__}.{module}"), function)
    return reader


def root_of(source: Path) -> str:
    """The absolute folder that relative paths of a corpus are relative to."""
    if source.is_dir():
        return os.path.abspath(source)
    folder = os.path.dirname(os.path.abspath(source))
    if kind_of(source) != "fairseq":
        return folder
    root = os.path.normpath(os.path.join(folder, first_line(source).strip()))
    if not os.path.isdir(root):
        raise FormatError(
            f"the first line of {source} must be the folder that its paths are relative to, and {root} is not a "
            "folder: correct that line"
        )
    return root

"""One reader for each kind of corpus: (source, root) -> items, lazily, in an order that is always the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from codectok import registry
from codectok.errors import FormatError
from codectok.items.item import Item
from codectok.items.lines import first_line
from codectok.items.readers.kinds import kind_of

Reader = Callable[[Path, str], Iterator[Item]]

READERS: registry.Table[Reader] = registry.Table("readers")
"""By kind; the name of another package's is the ending of the files that it reads, without the dot."""


def reader_for(source: Path) -> Reader:
    """The reader of a folder or manifest file.

    Raises:
        FormatError: none reads it.
    """
    return READERS[kind_of(source)]


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
            "folder: correct that line",
            path=source,
        )
    return root

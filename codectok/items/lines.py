"""What all readers of text manifests share: numbered lines, and making an item of an id and a path."""

from __future__ import annotations

import gzip
import os
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from codectok.errors import FormatError
from codectok.files.limits import bounded_lines
from codectok.items.item import Item
from codectok.items.labels import Labels

MAX_ID_BYTES = 4096
"""As long as a path may be on Linux. Longer ids come from a manifest whose lines are not what they seem."""


def suffix_of(source: Path) -> str:
    """Suffix in lower case; of ``x.jsonl.gz``, ``.jsonl``."""
    name = source.name.lower()
    return os.path.splitext(name.removesuffix(".gz"))[1]


@contextmanager
def open_text(source: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file, perhaps gzipped.

    Raises:
        FormatError: it is not UTF-8, or damaged gzip.
    """
    try:
        if source.name.lower().endswith(".gz"):
            with gzip.open(source, "rt", encoding="utf-8-sig", newline=newline) as file:
                yield file
        else:
            with open(source, encoding="utf-8-sig", newline=newline) as file:
                yield file
    except UnicodeDecodeError as e:
        raise FormatError(f"{source} is not UTF-8 text: convert it", path=source) from e
    except (gzip.BadGzipFile, EOFError, zlib.error) as e:
        raise FormatError(f"{source} is damaged ({e}): copy it again", path=source) from e


def numbered_lines(source: Path, newline: str | None = None) -> Iterator[tuple[int, str]]:
    r"""Numbered lines that are not blank, without their line ends; with ``newline="\n"`` nothing else ends a line."""
    with open_text(source, newline) as file:
        for number, line in enumerate(bounded_lines(file, source), start=1):
            if line.strip():
                yield number, line.rstrip("\r\n")


def first_line(source: Path) -> str:
    """The first line, without its end; "" of an empty file."""
    with open_text(source) as file:
        return next(bounded_lines(file, source), "").rstrip("\r\n")


def bad_line(source: Path, number: int | None, what: str) -> FormatError:
    """The error of one line."""
    return FormatError(f"{source} {what}" if number is None else f"line {number} of {source} {what}", path=source)


def make_item(
    source: Path,
    number: int | None,
    key: str | None,
    path: str,
    root: str,
    offset: float | None = None,
    duration: float | None = None,
    member: str | None = None,
    labels: Labels | None = None,
) -> Item:
    """An item; without an id (``key``), it is named by its path. This is the one rule of ids, for every command."""
    if "\0" in path:
        raise bad_line(source, number, "has a path with a zero byte: correct it")
    full = os.path.normpath(os.path.join(root, path))
    given = key is not None
    if key is None:
        # Under the root the id is the relative path, as for a folder; elsewhere the whole path, which is unique too.
        inside = full.startswith(root.rstrip(os.sep) + os.sep)
        key = escaped(os.path.splitext(os.path.relpath(full, root) if inside else full.lstrip(os.sep))[0])
    key = Path(key).as_posix() if os.sep != "/" else key
    if given and key != escaped(key):
        raise bad_line(
            source, number, f"has the id {key[:80]!r}: ids are one line without control characters; rename it"
        )
    if len(key.encode()) > MAX_ID_BYTES:
        raise bad_line(source, number, f"has an id of {len(key)} characters ({key[:40]}...): shorten it")
    return Item(key, full, offset, duration, member, labels or {})


def escaped(name: str) -> str:
    r"""A file's name as an id: the bytes that are not UTF-8, control characters and line ends become ``\xNN``.

    Names that hold none stay as they are. Two names that become the same are refused, as any id that comes twice.
    """
    if name.isprintable():
        return name
    return "".join(_escaped(c) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in name)


def _escaped(character: str) -> str:
    data = character.encode("utf-8", "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in data)

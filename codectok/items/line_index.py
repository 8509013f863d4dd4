"""Text files of ``name rest of the line``, looked up by name beside another file that is read in order."""

from __future__ import annotations

import re
from array import array
from pathlib import Path
from typing import BinaryIO

import numpy as np

from codectok.errors import FormatError
from codectok.items.hashes import short_hash

_BLANKS = re.compile(r"[ \t]+")


class LineIndex:
    """The lines of a file by their first word, at 16 bytes a line: hashes of the names, and where the lines begin.


    Raises:
        FormatError: the file is not UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        hashes, starts = array("Q"), array("Q")
        at, number = 0, 0
        with open(path, "rb") as file:
            for number, raw in enumerate(file, start=1):
                if raw.strip():
                    hashes.append(short_hash(self._split(raw, number)[0]))
                    starts.append(at)
                at += len(raw)
        order = np.argsort(np.frombuffer(hashes, np.uint64), kind="stable") if hashes else np.zeros(0, np.int64)
        self._hashes = np.frombuffer(hashes, np.uint64)[order] if hashes else np.zeros(0, np.uint64)
        self._starts = np.frombuffer(starts, np.uint64)[order] if starts else np.zeros(0, np.uint64)
        self._file: BinaryIO | None = None
        self._last: tuple[str, str] | None = None

    def find(self, name: str) -> str | None:
        """What follows a name on its line, without blanks at the ends; None if no line has it.

        Raises:
            FormatError: two lines do.
        """
        if self._last is not None and self._last[0] == name:
            return self._last[1]
        key = np.uint64(short_hash(name))
        at = int(np.searchsorted(self._hashes, key))
        found = []
        if self._file is None:
            self._file = open(self.path, "rb")  # noqa: SIM115 (closed with the index)
        while at < len(self._hashes) and self._hashes[at] == key:
            self._file.seek(int(self._starts[at]))
            word, rest = self._split(self._file.readline())
            found += [rest] if word == name else []
            at += 1
        if len(found) > 1:
            raise FormatError(f"{name!r} comes twice in {self.path}: keep one", path=self.path)
        if not found:
            return None
        self._last = name, found[0]
        return found[0]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _split(self, raw: bytes, number: int | None = None) -> tuple[str, str]:
        try:
            text = raw.decode("utf-8").removeprefix("\ufeff").strip(" \t\r\n")
        except UnicodeDecodeError as e:
            where = f" (line {number})" if number else ""
            raise FormatError(f"{self.path} is not UTF-8 text{where}: convert it", path=self.path) from e
        word, *rest = _BLANKS.split(text, maxsplit=1)
        return word, rest[0] if rest else ""

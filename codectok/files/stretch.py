"""A stretch of a file, or what else of known size, as a file with a place of its own."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from typing import BinaryIO


class SizedReader(io.RawIOBase):
    """A file to read that knows its place: who inherits it says what ``read_at`` gives.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        self._size, self._at = size, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte, also behind the end; gives the place."""
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        """The place, in bytes from the start."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer from the place on; gives the bytes read, 0 at the end."""
        count = max(0, min(len(buffer), self._size - self._at))
        found = self.read_at(self._at, buffer[:count]) if count else 0
        self._at += found
        return found

    def read_at(self, at: int, buffer: memoryview) -> int:
        """Fill a buffer, which ends within the size, from byte ``at`` on, or a part of it; gives the bytes read."""
        raise NotImplementedError


class Stretch(SizedReader):
    """Bytes ``offset`` to ``offset + size`` of an open file, read where they are asked for.

    Args:
        file: that is read; it stays open when the stretch is closed.
        offset: of the first byte.
        size: bytes.
        lock: held while it reads, where several threads read stretches of one file.
    """

    def __init__(self, file: BinaryIO, offset: int, size: int, lock: threading.Lock | None = None) -> None:
        super().__init__(size)
        self._file, self._offset = file, offset
        self._lock: contextlib.AbstractContextManager[object] = lock or contextlib.nullcontext()

    def read_at(self, at: int, buffer: memoryview) -> int:
        """From ``offset + at`` on, all that the file has."""
        with self._lock:
            self._file.seek(self._offset + at)
            return int(self._file.readinto(buffer) or 0)  # type: ignore[attr-defined]

"""A stretch of a file as a file with a place of its own."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from typing import BinaryIO


class Stretch(io.RawIOBase):
    """Bytes ``offset`` to ``offset + size`` of an open file, read where they are asked for.

    Args:
        file: that is read; it stays open when the stretch is closed.
        offset: of the first byte.
        size: bytes.
        lock: held while it reads, where several threads read stretches of one file.
    """

    def __init__(self, file: BinaryIO, offset: int, size: int, lock: threading.Lock | None = None) -> None:
        self._file, self._offset, self._size, self._at = file, offset, size, 0
        self._lock: contextlib.AbstractContextManager[object] = lock or contextlib.nullcontext()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte of the stretch, also behind its end; gives the place."""
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        """The place, in bytes from the start of the stretch."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer from the place on; gives the bytes read, 0 at the end."""
        count = max(0, min(len(buffer), self._size - self._at))
        with self._lock:
            self._file.seek(self._offset + self._at)
            found = self._file.readinto(buffer[:count]) or 0  # type: ignore[attr-defined]
        self._at += found
        return int(found)

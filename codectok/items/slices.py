"""A stretch of a file as a file of its own."""

from __future__ import annotations

import io
import os
from typing import BinaryIO

from codectok.errors import AudioError

_BUFFER = 64 * 1024


class _Slice(io.RawIOBase):
    """Bytes ``offset`` to ``offset + size`` of a file, read where they are asked for."""

    def __init__(self, path: str, offset: int, size: int) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by close)
        self._offset, self._size, self._at = offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._offset + self._at)
        found = self._file.readinto(buffer[:count]) or 0
        self._at += found
        return found

    def close(self) -> None:
        self._file.close()
        super().close()


def open_slice(path: str, offset: int, size: int, name: str) -> BinaryIO:
    """Open ``size`` bytes of a file from byte ``offset`` on; the rest of the file is not read.

    Raises:
        AudioError: no such file, or one that ends before.
    """
    try:
        if os.path.getsize(path) < offset + size:
            raise AudioError(f"{name} is cut off: the file that holds it ends before it; copy that file again")
        return io.BufferedReader(_Slice(path, offset, size), _BUFFER)
    except OSError as error:
        raise AudioError(f"{name} cannot be opened ({error.strerror}): check the path") from None

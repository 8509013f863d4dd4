"""A stretch of a file as a file of its own."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, cast

from codectok.errors import AudioError
from codectok.files.stretch import Stretch

_BUFFER = 64 * 1024


class _Slice(Stretch):
    """A stretch that has its file to itself."""

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
        return io.BufferedReader(_Slice(cast(BinaryIO, open(path, "rb", buffering=0)), offset, size), _BUFFER)
    except OSError as error:
        raise AudioError(f"{name} cannot be opened ({error.strerror}): check the path") from None

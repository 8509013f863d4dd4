"""Sound that is written while it is being made: to a file, or to a pipe that is played."""

from __future__ import annotations

import struct
from types import TracebackType
from typing import BinaryIO

import numpy as np

from codectok.audio.samples import to_int16

UNKNOWN = 0xFFFFFFFF
"""Size of a WAV file that is not finished, as ffmpeg writes it into a pipe; players and readers go on to the end."""


class LiveSound:
    """16-bit mono sound of unknown length, each piece written at once; to be used in a with block.

    Args:
        file: written to, not closed. Where it can seek, the sizes are put in at the end.
        rate: Hz.
        header: begin as WAV; else samples alone, little-endian.
    """

    def __init__(self, file: BinaryIO, rate: int, header: bool = True) -> None:
        self._file, self._rate, self._header = file, rate, header
        self._bytes = 0
        if header:
            self._write(_header(rate, None))

    def write(self, samples: np.ndarray) -> None:
        """Samples float32 [S], the next ones."""
        data = to_int16(samples).astype("<i2").tobytes()
        self._bytes += len(data)
        self._write(data)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()

    def __enter__(self) -> LiveSound:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._header and self._file.seekable():
            self._file.seek(0)
            self._write(_header(self._rate, self._bytes))


def _header(rate: int, size: int | None) -> bytes:
    """The 44 bytes before the samples of a WAV file; ``size`` of the samples in bytes, None while it is not known."""
    whole = UNKNOWN if size is None else min(36 + size, UNKNOWN)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", whole, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", UNKNOWN if size is None else min(size, UNKNOWN))
    )

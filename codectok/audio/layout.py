"""Where the audio lies in a file, where its header does not tell or does not tell the truth."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

Piece: TypeAlias = bytes | tuple[int, int]
"""Bytes to put there, or a stretch [start, stop) of the file."""


@dataclass(frozen=True)
class FileStream:
    """Something to decode.

    Attributes:
        pieces: whose sum it is; empty: the file as it is.
        num_samples: that it has; None: as its header says.
    """

    pieces: tuple[Piece, ...] = ()
    num_samples: int | None = None


@dataclass(frozen=True)
class FileLayout:
    """What a look at a whole file found.

    Attributes:
        streams: to decode, one after another.
        warnings: what is wrong with the file and yet can be read, each to follow the file's name.
        gaps: whether audio may be missing in the middle, so that times after it are wrong.
        counted: whether the frames of an MP3 were counted.
        claimed: samples that there should be, where libsndfile does not look at that; None where it does.
    """

    streams: tuple[FileStream, ...] = (FileStream(),)
    warnings: tuple[str, ...] = ()
    gaps: bool = False
    counted: bool = False
    claimed: int | None = None


class Spliced(io.RawIOBase):
    """Pieces of a seekable file, and bytes between them, as one file; the file under it stays open."""

    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]) -> None:
        self._file, self._at = file, 0
        self._pieces: list[tuple[int, Piece]] = []
        self._size = 0
        for piece in pieces:
            self._pieces.append((self._size, piece))
            self._size += len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]

    def readable(self) -> bool:  # noqa: D102
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:  # noqa: D102
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:  # noqa: D102
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # noqa: D102
        found = self._read(len(buffer))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def _read(self, count: int) -> bytes:
        for start, piece in reversed(self._pieces):
            if start <= self._at:
                inside = self._at - start
                if isinstance(piece, bytes):
                    return piece[inside : inside + count]
                self._file.seek(piece[0] + inside)
                return self._file.read(max(0, min(count, piece[1] - piece[0] - inside)))
        return b""


def spliced(file: BinaryIO, pieces: Sequence[Piece]) -> BinaryIO:
    """Pieces of ``file`` as a buffered file of their own."""
    return io.BufferedReader(Spliced(file, pieces), 64 * 1024)

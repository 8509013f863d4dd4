"""Where the audio lies in a file, where its header does not tell or does not tell the truth."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from codectok.files.stretch import SizedReader

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


class Spliced(SizedReader):
    """Pieces of a seekable file, and bytes between them, as one file; the file under it stays open."""

    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]) -> None:
        self._file = file
        self._pieces: list[tuple[int, Piece]] = []
        size = 0
        for piece in pieces:
            self._pieces.append((size, piece))
            size += len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
        super().__init__(size)

    def read_at(self, at: int, buffer: memoryview) -> int:
        """From byte ``at`` to the end of the piece that it is in."""
        for start, piece in reversed(self._pieces):
            if start <= at:
                inside, count = at - start, len(buffer)
                if isinstance(piece, bytes):
                    found = piece[inside : inside + count]
                else:
                    self._file.seek(piece[0] + inside)
                    found = self._file.read(min(count, piece[1] - piece[0] - inside))
                buffer[: len(found)] = found
                return len(found)
        return 0


def spliced(file: BinaryIO, pieces: Sequence[Piece]) -> BinaryIO:
    """Pieces of ``file`` as a buffered file of their own."""
    return io.BufferedReader(Spliced(file, pieces), 64 * 1024)

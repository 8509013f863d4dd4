"""Reading a ``.ctk`` file, piece by piece."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.files.limits import check_frames
from codectok.tokens.bitpack import MAX_WIDTH, packed_bytes, unpack
from codectok.tokens.ctk_layout import (
    BLOCK,
    BLOCK_COLUMNS,
    CRC,
    END,
    FOOT,
    check_crc,
    damaged,
    read_header,
    take,
)

PathLike = str | os.PathLike[str]


class CtkReader:
    """Read a file piece by piece, in a ``with``; memory does not grow with its length.

    Attributes:
        num_samples: length of the audio at ``sample_rate``.
        num_frames: frames, counting each run by its duration.
        num_columns: columns stored: runs where the file is ``deduplicated``, else frames.
        sample_rate: Hz.
        frame_rate: frames per second, exact.
        codebook_sizes: number of codes of each of the K codebooks.
        fingerprint: of the tokenizer.
        deduplicated: whether columns are runs with durations.

    Raises:
        FormatError: missing, not a .ctk file, truncated or damaged.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FormatError(f"{path} is not a file: give the path of a .ctk file", path=path)
        try:
            self._file = open(self.path, "rb")  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise FormatError(f"{path} cannot be opened: {error.strerror}", path=path) from None
        try:
            with self._named():
                self.header, self._head_crc = read_header(self._file)
                self._start = self._file.tell()
                self._read_footer()
        except BaseException:
            self._file.close()
            raise
        self.sample_rate, self.frame_rate = self.header.sample_rate, self.header.frame_rate
        self.codebook_sizes, self.fingerprint = self.header.codebook_sizes, self.header.fingerprint
        self.deduplicated = self.header.deduplicated

    def __enter__(self) -> CtkReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def whole(self) -> tuple[Tensor, Tensor | None]:
        """All columns as stored: int64 codes [K, T], and durations [T] where the file is deduplicated.

        Raises:
            FormatError: truncated or damaged.
        """
        codes = np.empty((len(self.codebook_sizes), self.num_columns), np.int64)
        durations = np.empty(self.num_columns, np.int64)
        at = 0
        for piece, runs in self.columns():
            end = at + piece.shape[1]
            codes[:, at:end] = piece
            if runs is not None:
                durations[at:end] = runs
            at = end
        return torch.from_numpy(codes), torch.from_numpy(durations) if self.deduplicated else None

    def blocks(self) -> Iterator[Tensor]:
        """Yield the codes of successive frames, int64 [K, T'] with T' <= 4096, runs expanded; they join to all.

        Raises:
            FormatError: truncated or damaged.
        """
        for codes, durations in self.columns():
            if durations is None:
                yield torch.from_numpy(codes)
                continue
            check_frames(len(self.codebook_sizes), self.num_frames)
            ends = np.cumsum(durations)
            for start in range(0, int(ends[-1]), BLOCK_COLUMNS):
                # Which run each frame lies in, for a bounded number of frames: a run may be of any length.
                frames = np.arange(start, min(start + BLOCK_COLUMNS, int(ends[-1])))
                yield torch.from_numpy(codes[:, np.searchsorted(ends, frames, side="right")])

    def columns(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yield the columns as stored: int64 codes [K, T'], and durations [T'] where the file is deduplicated.

        Raises:
            FormatError: truncated or damaged.
        """
        with self._named():
            yield from self._columns()

    def _columns(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        at, crc, columns, frames = self._start, self._head_crc, 0, 0
        while at < self._end:
            self._file.seek(at)  # each time: another pass over the file may run between two blocks
            head = take(self._file, BLOCK.size)
            count, length = BLOCK.unpack(head)
            at += BLOCK.size + length + CRC.size
            if not 1 <= count <= BLOCK_COLUMNS or at > self._end:
                raise damaged(f"the block after column {columns} is impossible")
            payload = take(self._file, length)
            crc = zlib.crc32(payload, zlib.crc32(head, crc))
            check_crc(self._file, crc, f"the block after column {columns}")
            codes, durations = self._unpack(payload, count)
            columns += count
            frames += count if durations is None else int(durations.sum())
            if columns > self.num_columns:
                break
            yield codes, durations
        if (columns, frames, crc) != (self.num_columns, self.num_frames, self._last_crc):
            raise damaged(f"it holds {columns} columns, its footer says {self.num_columns}")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Put the path before what is wrong with the file."""
        try:
            yield
        except FormatError as error:
            raise FormatError(f"{self.path} {error}", path=self.path) from None
        except OSError as error:
            raise FormatError(f"{self.path} cannot be read: {error.strerror}", path=self.path) from None

    def _unpack(self, payload: bytes, count: int) -> tuple[np.ndarray, np.ndarray | None]:
        widths = self.header.code_widths
        if self.deduplicated:
            widths.insert(0, payload[0] if payload else MAX_WIDTH + 1)
        if max(widths) > MAX_WIDTH or len(payload) != packed_bytes(count, widths) + self.deduplicated:
            raise damaged("the length of a block is not that of its contents")
        rows = unpack(payload[self.deduplicated :], count, widths)
        durations = rows[0] + 1 if self.deduplicated else None
        codes = rows[self.deduplicated :]
        if (codes >= np.array(self.codebook_sizes)[:, None]).any():
            raise damaged("a code is outside its codebook")
        return codes, durations

    def _read_footer(self) -> None:
        self._end = os.fstat(self._file.fileno()).st_size - FOOT.size - CRC.size
        if self._end < self._start:
            raise damaged("it ends before its footer")
        self._file.seek(self._end)
        foot = take(self._file, FOOT.size)
        end, self.num_samples, self.num_columns, self.num_frames, self._last_crc = FOOT.unpack(foot)
        if end != END:
            raise damaged("it has no footer")
        check_crc(self._file, zlib.crc32(foot, self._head_crc), "its footer")
        # Held against the size of the file, so that a reader may allocate by it.
        bits = sum(self.header.code_widths)
        if self.num_samples >= 2**63 or self.num_columns * bits > 8 * (self._end - self._start):
            raise damaged("its footer is impossible")

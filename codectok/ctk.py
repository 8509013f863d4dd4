"""The ``.ctk`` file: one utterance's tokens, bit-packed, checked, and streamed in both directions.

``codectok.ctk_layout`` and ``docs/formats.md`` give its bytes.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from codectok.atomic import atomic_path
from codectok.bitpack import MAX_WIDTH, pack, packed_bytes, unpack, width_of
from codectok.ctk_layout import (
    BLOCK,
    BLOCK_COLUMNS,
    CRC,
    END,
    FOOT,
    MAX_SIZE,
    Header,
    check_crc,
    damaged,
    read_header,
    take,
)
from codectok.errors import CodectokError, CodeRangeError, FormatError
from codectok.tokens import Tokens

PathLike = str | os.PathLike[str]


def write_tokens(path: PathLike, tokens: Tokens) -> None:
    """Write one utterance, whole or not at all.

    Raises:
        FormatError: tokens that the format cannot hold, such as none of a codebook or a negative length.
    """
    runs = tokens.durations is not None
    args = (tokens.sample_rate, tokens.frame_rate, tokens.codebook_sizes, tokens.fingerprint)
    with CtkWriter(path, *args, deduplicated=runs) as writer:
        writer.write(tokens.codes, tokens.durations)
        writer.finish(tokens.num_samples)


def read_tokens(path: PathLike) -> Tokens:
    """Read one utterance.

    Raises:
        FormatError: missing, not a .ctk file, truncated or damaged.
    """
    with CtkReader(path) as reader:
        codes = np.empty((len(reader.codebook_sizes), reader.num_columns), np.int64)
        durations = np.empty(reader.num_columns, np.int64)
        at = 0
        for piece, runs in reader.columns():
            end = at + piece.shape[1]
            codes[:, at:end] = piece
            if runs is not None:
                durations[at:end] = runs
            at = end
        return Tokens(
            torch.from_numpy(codes),
            reader.num_samples,
            reader.sample_rate,
            reader.frame_rate,
            reader.codebook_sizes,
            reader.fingerprint,
            torch.from_numpy(durations) if reader.deduplicated else None,
        )


class CtkWriter:
    """Write tokens as they come, in a ``with``; memory does not grow. However they are split, the bytes are the same.

    Args:
        path: the file appears under this name once the ``with`` ends after ``finish``, else nothing is left.
        sample_rate: Hz, of the audio.
        frame_rate: frames per second, exact.
        codebook_sizes: number of codes of each of the K codebooks.
        fingerprint: of the tokenizer.
        deduplicated: columns are runs, written with their durations.

    Raises:
        FormatError: a value that the format cannot hold.
    """

    def __init__(
        self,
        path: PathLike,
        sample_rate: int,
        frame_rate: Fraction | int,
        codebook_sizes: Sequence[int],
        fingerprint: str,
        *,
        deduplicated: bool = False,
    ) -> None:
        self.path = Path(path)
        sizes = tuple(map(int, codebook_sizes))
        self.header = Header(sample_rate, Fraction(frame_rate), sizes, fingerprint, deduplicated)
        self._packed_header = self.header.pack()
        self._limits = np.array(sizes, np.int64)[:, None]
        self._waiting: list[np.ndarray] = []
        self._columns = self._frames = self._held = 0
        self._finished = False

    def __enter__(self) -> CtkWriter:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._file: BinaryIO = stack.enter_context(open(temporary, "wb"))
            self._stack = stack.pop_all()
        self._crc = 0
        self._put(self._packed_header)
        self._head_crc = self._crc
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None and not self._finished:
            unfinished = CodectokError(f"{self.path} was not written: finish(num_samples) was not called")
            self._stack.__exit__(CodectokError, unfinished, None)
            raise unfinished
        self._stack.__exit__(kind, error, trace)

    def write(self, codes: Tensor | np.ndarray, durations: Tensor | np.ndarray | None = None) -> None:
        """Append integer codes [K, T], any T, and the durations [T] in frames where the file is deduplicated.

        Raises:
            CodeRangeError: a code outside its codebook.
            FormatError: another shape, durations missing or not asked for, or after ``finish``.
        """
        if self._finished:
            raise FormatError(f"{self.path} is finished: write before finish")
        rows = _integers(codes)
        if rows.ndim != 2 or len(rows) != len(self._limits):
            raise FormatError(f"codes of shape {list(rows.shape)} are not [K, T] with K = {len(self._limits)}")
        outside = (rows < 0) | (rows >= self._limits)
        if outside.any():
            k, t = np.argwhere(outside)[0]
            top = self._limits[k, 0] - 1
            raise CodeRangeError(f"code {rows[k, t]} of codebook {k} at column {t} is outside 0..{top}")
        if self.header.deduplicated != (durations is not None):
            raise FormatError("durations belong to a deduplicated file, and to no other")
        if durations is not None:
            runs = _integers(durations)
            if runs.shape != rows.shape[1:] or ((runs < 1) | (runs > MAX_SIZE)).any():
                raise FormatError(f"durations must be one number of frames, 1..{MAX_SIZE}, for each column of codes")
            self._frames += int(runs.sum())
            rows = np.concatenate([runs[None] - 1, rows])
        self._waiting.append(rows)
        self._held += rows.shape[1]
        if self._held >= BLOCK_COLUMNS:
            self._write_blocks(BLOCK_COLUMNS)

    def finish(self, num_samples: int) -> None:
        """Write what is held back and the footer; ``num_samples`` is the length of the audio at ``sample_rate``.

        Raises:
            FormatError: a negative length.
        """
        if self._finished or not 0 <= num_samples < 2**63:
            raise FormatError(f"{self.path}: finish once, with a number of samples of 0 or more, not {num_samples}")
        self._write_blocks(1)
        frames = self._frames if self.header.deduplicated else self._columns
        foot = FOOT.pack(END, num_samples, self._columns, frames, self._crc)
        self._file.write(foot + CRC.pack(zlib.crc32(foot, self._head_crc)))
        self._finished = True

    def _write_blocks(self, least: int) -> None:
        """Write blocks of full size while there are ``least`` columns to write."""
        rows = np.concatenate(self._waiting, 1) if self._waiting else np.empty((0, 0), np.int64)
        while rows.shape[1] >= least:
            block, rows = rows[:, :BLOCK_COLUMNS], rows[:, BLOCK_COLUMNS:]
            widths = self.header.code_widths
            payload = b""
            if self.header.deduplicated:
                widths.insert(0, width_of(int(block[0].max()) + 1))
                payload = bytes([widths[0]])
            payload += pack(list(block), widths)
            self._put(BLOCK.pack(block.shape[1], len(payload)) + payload)
            self._columns += block.shape[1]
        self._waiting, self._held = [rows.copy()], rows.shape[1]

    def _put(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._file.write(data + CRC.pack(self._crc))


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
            raise FormatError(f"{path} is not a file: give the path of a .ctk file")
        try:
            self._file = open(self.path, "rb")  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise FormatError(f"{path} cannot be opened: {error.strerror}") from None
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

    def blocks(self) -> Iterator[Tensor]:
        """Yield the codes of successive frames, int64 [K, T'] with T' <= 4096, runs expanded; they join to all.

        Raises:
            FormatError: truncated or damaged.
        """
        for codes, durations in self.columns():
            if durations is None:
                yield torch.from_numpy(codes)
                continue
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
            raise FormatError(f"{self.path} {error}") from None
        except OSError as error:
            raise FormatError(f"{self.path} cannot be read: {error.strerror}") from None

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


def _integers(values: Tensor | np.ndarray) -> np.ndarray:
    tensor = torch.as_tensor(values)
    if tensor.is_floating_point() or tensor.is_complex():
        raise FormatError(f"codes and durations are integers, not {tensor.dtype}")
    return tensor.detach().cpu().to(torch.int64).numpy()

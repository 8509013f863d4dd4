"""Writing a ``.ctk`` file, piece by piece: one utterance's tokens, bit-packed and checked.

``codectok.tokens.ctk_layout`` and ``docs/formats.md`` give its bytes.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from codectok.errors import CodectokError, CodeRangeError, FormatError
from codectok.files.atomic import atomic_path
from codectok.tokens.bitpack import pack, width_of
from codectok.tokens.ctk_layout import (
    BLOCK,
    BLOCK_COLUMNS,
    CRC,
    END,
    FOOT,
    MAX_SIZE,
    Header,
)

PathLike = str | os.PathLike[str]


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
            raise FormatError(f"{self.path} is finished: write before finish", path=self.path)
        rows = _integers(codes)
        if rows.ndim != 2 or len(rows) != len(self._limits):
            raise FormatError(f"codes of shape {list(rows.shape)} are not [K, T] with K = {len(self._limits)}")
        outside = (rows < 0) | (rows >= self._limits)
        if outside.any():
            k, t = np.argwhere(outside)[0]
            top = self._limits[k, 0] - 1
            raise CodeRangeError(
                f"code {rows[k, t]} of codebook {k} at column {t} is outside 0..{top}",
                code=int(rows[k, t]),
                size=int(top) + 1,
                codebook=int(k),
            )
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
            raise FormatError(
                f"{self.path}: finish once, with a number of samples of 0 or more, not {num_samples}", path=self.path
            )
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


def _integers(values: Tensor | np.ndarray) -> np.ndarray:
    tensor = torch.as_tensor(values)
    if tensor.is_floating_point() or tensor.is_complex():
        raise FormatError(f"codes and durations are integers, not {tensor.dtype}")
    return tensor.detach().cpu().to(torch.int64).numpy()

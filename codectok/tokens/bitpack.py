"""Integers in as few bits as they need, packed one after another, most significant bit first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MAX_WIDTH = 31
"""Bits."""


def width_of(count: int) -> int:
    """Bits that hold the numbers 0..count - 1; 0 bits where there is only one."""
    return (count - 1).bit_length()


def packed_bytes(columns: int, widths: Sequence[int]) -> int:
    """Bytes that ``pack`` gives for rows of ``columns`` numbers."""
    return (columns * sum(widths) + 7) // 8


def pack(rows: Sequence[np.ndarray], widths: Sequence[int]) -> bytes:
    """Rows of integers [T], each row at its width in bits (0..31), without gaps; zero bits fill the last byte."""
    bits = [
        # Big-endian bytes spell a number's bits in order: unpack all 32, keep the last ones.
        np.unpackbits(row.astype(">u4").view(np.uint8).reshape(-1, 4), axis=1)[:, 32 - width :].ravel()
        for row, width in zip(rows, widths, strict=True)
    ]
    return np.packbits(np.concatenate(bits)).tobytes()


def unpack(data: bytes, columns: int, widths: Sequence[int]) -> np.ndarray:
    """The inverse of ``pack``: int64 [len(widths), columns]; ``data`` has ``packed_bytes(columns, widths)`` bytes."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    out = np.empty((len(widths), columns), np.int64)
    start = 0
    for row, width in zip(out, widths, strict=True):
        full = np.zeros((columns, 32), np.uint8)
        full[:, 32 - width :] = bits[start : start + columns * width].reshape(columns, width)
        row[:] = np.packbits(full, axis=1).view(">u4")[:, 0]
        start += columns * width
    return out

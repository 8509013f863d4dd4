"""Whether a FLAC ends where its header says (RFC 9639): asked after its last sample.

More frames show in the last bytes. A second stream may begin anywhere, and looks like the first: only its marker tells
it, so the file is searched once for that.
"""

from __future__ import annotations

import os
import re
from typing import BinaryIO

from codectok.audio.layout import FileStream
from codectok.audio.tags import id3_size

_WINDOW = 2**17
"""Bytes at the end that hold the last frame, where the header does not say how long frames are."""
_STREAM = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x107) if crc & 0x80 else crc << 1
    return crc


def _frame_number(data: bytes) -> int | None:
    """Number of the frame whose header begins ``data``; None if it is none."""
    if len(data) < 16 or data[0] != 0xFF or data[1] & 0xFE != 0xF8:
        return None
    first = data[4]
    extra = 0 if first < 0x80 else 8 - (first ^ 0xFF).bit_length() - 1
    if not 0 <= extra <= 6 or any(byte >> 6 != 2 for byte in data[5 : 5 + extra]):
        return None
    number = first if not extra else first & (0x3F >> extra)
    for byte in data[5 : 5 + extra]:
        number = number << 6 | byte & 0x3F
    end = 5 + extra + {6: 1, 7: 2}.get(data[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(data[2] & 15, 0)
    return number if _crc8(data[:end]) == data[end] else None


def after_the_end(file: BinaryIO, total: int) -> tuple[str, FileStream]:
    """What follows the stated ``total`` samples: "", "joined", or "more", with the file without its length."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(10)
    start = id3_size(head) if head[:3] == b"ID3" else 0
    file.seek(start)
    head = file.read(42)
    if _another(file, start + 8):
        return "joined", FileStream()
    # Frames of several lengths are numbered by their samples; of length 0 there are none.
    if head[:4] != b"fLaC" or head[8:10] != head[10:12] or not any(head[8:10]):
        return "", FileStream()
    last = (total - 1) // int.from_bytes(head[8:10], "big")
    longest = int.from_bytes(head[15:18], "big")
    numbers = _numbers(file, max(start, size - 2 * (longest or _WINDOW) - 64), size)
    if last in numbers or not any(number > last for number in numbers):
        return "", FileStream()
    patch = bytes([head[21] & 0xF0]) + bytes(4)
    return "more", FileStream(((0, start + 21), patch, (start + 26, size)))


def _numbers(file: BinaryIO, start: int, size: int) -> set[int]:
    """Numbers of the frames that begin in the last bytes."""
    file.seek(start)
    data = file.read(size - start)
    found, at = set(), data.find(b"\xff")
    while at >= 0:
        if (number := _frame_number(data[at : at + 18])) is not None:
            found.add(number)
        at = data.find(b"\xff", at + 1)
    return found


def _another(file: BinaryIO, start: int) -> bool:
    """Whether a second stream begins after the first."""
    file.seek(start)
    before = b""
    while data := file.read(2**20):
        if _STREAM.search(before + data[:8]) or _STREAM.search(data):
            return True
        before = data[-8:]
    return False

"""Ogg files, page by page (RFC 3533): streams joined one after another, pages that are damaged or missing."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from codectok.audio.layout import FileLayout, FileStream

_CHUNK = 2**20
_LONGEST = 27 + 255 + 255 * 255
_FIRST, _LAST = 2, 4
_REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))


def _checksum_holds(page: bytes) -> bool:
    """Ogg has the polynomial of zlib's CRC-32, but takes the bits of a byte from the other end."""
    bits = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED)
    found = zlib.crc32(bits, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return found.to_bytes(4, "big").translate(_REVERSED) == page[22:26]


class _Walk:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.data, self.base = b"", 0
        self.starts: list[int] = []
        self.pages = self.damaged = self.junk = 0
        self.cut = self.ended = False

    def peek(self, at: int) -> bytes:
        """The longest page that may begin at ``at``."""
        i = at - self.base
        if not 0 <= i <= len(self.data) - _LONGEST and self.base + len(self.data) != self.size:
            self.file.seek(at)
            self.data, self.base, i = self.file.read(_CHUNK), at, 0
        return self.data[i : i + _LONGEST]

    def run(self) -> None:
        at, first_before, numbers = 0, False, dict[bytes, int]()
        while at < self.size:
            page = self.peek(at)
            length = _page_bytes(page)
            if length > len(page) and at + length > self.size:
                self.cut = True
                if page.find(b"OggS", 1) < 0:
                    return
                length = 0
            if not length or not _checksum_holds(page[:length]):
                at = self._resync(at, bool(length))
                continue
            flags, serial, number = page[5], page[14:18], int.from_bytes(page[18:22], "little")
            if flags & _FIRST and not first_before:
                self.starts.append(at)
                numbers.clear()
            elif number > numbers.get(serial, number - 1) + 1:
                self.damaged += 1
            numbers[serial] = number
            self.pages += 1
            self.ended = bool(flags & _LAST)
            first_before = bool(flags & _FIRST)
            at += length

    def _resync(self, at: int, page: bool) -> int:
        """Where the next page may begin; what is skipped is a page with another checksum, or no page."""
        start = at
        at += 1
        while at < self.size:
            found = self.peek(at).find(b"OggS")
            if found >= 0:
                at += found
                break
            at += max(1, len(self.peek(at)) - 3)
        at = min(at, self.size)
        if not page:
            self.junk += at - start
        elif at == self.size:  # else the gap in the numbers of the pages counts it
            self.damaged += 1
        return at


def _page_bytes(page: bytes) -> int:
    """Length of the page that ``page`` begins with; 0 if it begins with none."""
    if page[:4] != b"OggS" or len(page) < 27 or len(page) < 27 + page[26]:
        return 0
    return 27 + page[26] + sum(page[27 : 27 + page[26]])


def ogg_layout(file: BinaryIO, size: int) -> FileLayout:
    """Find the streams of an Ogg file of ``size`` bytes, and what is missing."""
    walk = _Walk(file, size)
    walk.run()
    warnings = []
    if walk.damaged:
        warnings.append("has damaged or missing pages: there, audio is left out")
    if walk.junk:
        warnings.append(f"has {walk.junk} bytes that are no audio, which are skipped")
    if walk.cut or (walk.pages and not walk.ended):
        warnings.append("has no end of its stream: it may have been cut off")
    ends = [*walk.starts[1:], size]
    streams = tuple(FileStream(((start, stop),)) for start, stop in zip(walk.starts, ends, strict=False))
    return FileLayout(streams if len(streams) > 1 else (FileStream(),), tuple(warnings), walk.damaged > 0)

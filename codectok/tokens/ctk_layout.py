"""The bytes of a ``.ctk`` file; ``CtkReader`` and ``CtkWriter`` read and write them.

Version 1. Numbers are little-endian; ``varint`` is unsigned LEB128. A file is a header, blocks, and a footer::

    header   4 bytes   magic 89 43 54 4B ("\\x89CTK")
             u8        version, 1
             u8        flags: bit 0, deduplicated (blocks hold durations); other bits 0
             u16       K, number of codebooks, 1..4096
             u32       sample rate, Hz
             u64 u64   frame rate, numerator and denominator, Hz
             u16       F, length of the fingerprint in bytes, at most 1024
             u16       N, length of the codebook sizes in bytes
             F bytes   fingerprint, UTF-8
             N bytes   K varints: the codebook sizes, 1..2^31
             u32       CRC

    block    u16       T, columns in this block, 1..4096 (all blocks that codectok writes but the last: 4096)
             u32       P, length of the payload in bytes
             P bytes   if deduplicated, u8 W (0..31), then T durations in frames less 1, W bits each, and straight on:
                       K rows of T codes, each row at max(1, ceil(log2(size))) bits a code. Bits are packed most
                       significant first without gaps; zero bits fill the last byte
             u32       CRC

    footer   4 bytes   "CTKE"
             u64       number of samples at the sample rate
             u64       number of columns
             u64       number of frames: the columns, or the sum of their durations
             u32       the last CRC before the footer
             u32       footer CRC

A CRC is the CRC-32 (zlib's) of everything from the start of the file to where it stands, earlier CRCs left out: so a
block that is missing, moved or from another file is found, as is a changed bit. The footer CRC is that of the header
and the footer, so that both can be trusted before the blocks are read.

At least one bit a code bounds what a hostile file can make a reader allocate: about 64 times its own size.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from codectok.errors import FormatError
from codectok.tokens.bitpack import MAX_WIDTH, width_of

VERSION = 1
BLOCK_COLUMNS = 4096
MAX_CODEBOOKS = 4096
MAX_SIZE = 2**MAX_WIDTH
MAX_FINGERPRINT = 1024
MAGIC, END = b"\x89CTK", b"CTKE"
BLOCK = struct.Struct("<HI")
FOOT = struct.Struct("<4sQQQI")
CRC = struct.Struct("<I")
_HEAD = struct.Struct("<4sBBHIQQHH")
_DEDUPLICATED = 1


@dataclass(frozen=True)
class Header:
    """What stands before the blocks.

    Attributes:
        sample_rate: Hz, of the audio.
        frame_rate: frames per second, exact.
        codebook_sizes: number of codes of each of the K codebooks.
        fingerprint: of the tokenizer.
        deduplicated: whether columns are runs, with durations.
    """

    sample_rate: int
    frame_rate: Fraction
    codebook_sizes: tuple[int, ...]
    fingerprint: str
    deduplicated: bool

    @property
    def code_widths(self) -> list[int]:
        """Bits of a code of each codebook."""
        return [max(1, width_of(size)) for size in self.codebook_sizes]

    def pack(self) -> bytes:
        """The bytes of the header, but for its CRC.

        Raises:
            FormatError: a value that the format cannot hold.
        """
        sizes, name = self.codebook_sizes, self.fingerprint.encode()
        above, below = self.frame_rate.numerator, self.frame_rate.denominator
        if not 1 <= len(sizes) <= MAX_CODEBOOKS or not all(1 <= size <= MAX_SIZE for size in sizes):
            given = ", ".join(map(str, sizes[:8])) or "none"
            raise FormatError(f"a .ctk file holds 1..{MAX_CODEBOOKS} codebooks of 1..{MAX_SIZE} codes; given: {given}")
        if len(name) > MAX_FINGERPRINT:
            raise FormatError(f"a .ctk file holds fingerprints of at most {MAX_FINGERPRINT} bytes, not {len(name)}")
        if not (1 <= self.sample_rate < 2**32 and 1 <= above < 2**64 and below < 2**64):
            raise FormatError(f"a .ctk file cannot hold {self.sample_rate} Hz with frames at {self.frame_rate} Hz")
        packed = b"".join(map(_varint, sizes))
        flags = _DEDUPLICATED if self.deduplicated else 0
        fixed = (MAGIC, VERSION, flags, len(sizes), self.sample_rate, above, below, len(name), len(packed))
        return _HEAD.pack(*fixed) + name + packed


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """The header that a file starts with, and its CRC; the file then stands at the first block.

    Raises:
        FormatError: not a .ctk file, of another version, truncated or damaged; without the path.
    """
    head = file.read(_HEAD.size)
    if head[:4] != MAGIC:
        raise FormatError("is not a .ctk file: give one that codectok wrote")
    if len(head) > 4 and head[4] != VERSION:
        raise FormatError(f"has .ctk version {head[4]}, this codectok reads {VERSION}: upgrade codectok")
    if len(head) < _HEAD.size:
        raise damaged("it ends in its header")
    _, _, flags, k, rate, above, below, name, sizes = _HEAD.unpack(head)
    if not 1 <= k <= MAX_CODEBOOKS or name > MAX_FINGERPRINT or not k <= sizes <= 5 * k:
        raise damaged("its header is impossible")
    rest = take(file, name + sizes)
    crc = zlib.crc32(head + rest)
    check_crc(file, crc, "its header")
    codebook_sizes = _from_varints(rest[name:])
    if len(codebook_sizes) != k or not all(1 <= size <= MAX_SIZE for size in codebook_sizes):
        raise damaged("its codebook sizes are impossible")
    if flags > _DEDUPLICATED or not (rate and above and below):
        raise damaged("its header is impossible")
    try:
        fingerprint = rest[:name].decode()
    except UnicodeDecodeError:
        raise damaged("its fingerprint is not text") from None
    return Header(rate, Fraction(above, below), codebook_sizes, fingerprint, flags == _DEDUPLICATED), crc


def take(file: BinaryIO, count: int) -> bytes:
    """Exactly ``count`` bytes; FormatError if the file ends before."""
    data = file.read(count)
    if len(data) != count:
        raise damaged("it ends too early")
    return data


def check_crc(file: BinaryIO, crc: int, what: str) -> None:
    """Read a CRC; FormatError if it is not ``crc``."""
    if CRC.unpack(take(file, CRC.size)) != (crc,):
        raise damaged(f"the checksum of {what} is wrong")


def damaged(what: str) -> FormatError:
    """The error to raise; the reader puts the path before it."""
    return FormatError(f"is truncated or damaged ({what}): copy it again or encode again")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _from_varints(data: bytes) -> tuple[int, ...]:
    values, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append(value)
            value = shift = 0
    return tuple(values)

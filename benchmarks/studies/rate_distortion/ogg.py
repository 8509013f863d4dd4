"""What an Ogg file carries, without what the container costs (RFC 3533)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.errors import FormatError


def packets(path: Path) -> list[int]:
    """Bytes of each packet of the only stream in an Ogg file, headers included.

    Raises:
        FormatError: not Ogg, or cut off.
    """
    sizes, open_packet = [], 0
    for lacing in _lacings(path.read_bytes(), path):
        open_packet += lacing
        # A segment of 255 bytes says that the packet goes on, be it on the next page.
        if lacing < 255:
            sizes.append(open_packet)
            open_packet = 0
    return sizes


def _lacings(data: bytes, path: Path) -> Iterator[int]:
    at = 0
    while at < len(data):
        table = at + 27
        if data[at : at + 4] != b"OggS" or table > len(data):
            raise FormatError(f"{path} is not an Ogg file, or damaged at byte {at}", path=path)
        lacings = data[table : table + data[at + 26]]
        at = table + len(lacings) + sum(lacings)
        if at > len(data):
            raise FormatError(f"{path} is cut off", path=path)
        yield from lacings


def audio_packets(path: Path, headers: int = 2) -> list[int]:
    """Bytes of each audio packet: all but the first two, which Opus (RFC 7845) and Speex both spend on headers."""
    return packets(path)[headers:]

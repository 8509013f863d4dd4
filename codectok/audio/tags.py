"""Tags that stand before, between or after MPEG frames: how long they are."""

from __future__ import annotations

from collections.abc import Callable

_LYRICS_ENDS = (b"LYRICS200", b"LYRICSEND")
_MOST_LYRICS = 6 * 2**20


def tag_size(head: bytes, more: Callable[[int, int], bytes]) -> int:
    """Bytes of the tag that begins with ``head``, 64 bytes of it where there are; 0 if it is none.

    Args:
        head: the first bytes.
        more: gives ``count`` bytes from ``start`` on, counted from the tag's first.
    """
    if head[:3] == b"ID3" and len(head) >= 10:
        return id3_size(head)
    if head[:4] == b"TAG+":
        return 227
    if head[:3] == b"TAG":
        return 128
    if head[:8] == b"APETAGEX" and len(head) >= 32:
        size, flags = (int.from_bytes(head[i : i + 4], "little") for i in (12, 20))
        return 32 + (size if flags >> 29 & 1 else 0)  # a header: items and a footer follow
    if head[:11] == b"LYRICSBEGIN":
        text = more(0, _MOST_LYRICS)
        return next((at + len(end) for end in _LYRICS_ENDS if (at := text.find(end)) > 0), 0)
    return 0


def id3_size(head: bytes) -> int:
    """Bytes of an ID3v2 tag by its first ten."""
    size = sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return 10 + size + (10 if head[5] & 0x10 else 0)

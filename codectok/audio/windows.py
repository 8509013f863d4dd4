"""Long audio in overlapping windows: which frames are computed from which, by one written formula."""

from __future__ import annotations

from dataclasses import dataclass

from codectok.errors import CodectokError


@dataclass(frozen=True)
class Window:
    """Frames ``[start, stop)`` are computed together; those in ``[keep_from, keep_to)`` are kept."""

    start: int
    stop: int
    keep_from: int
    keep_to: int


def windows(num_frames: int, size: int, overlap: int) -> list[Window]:
    """The windows of ``num_frames`` frames T, each of at most ``size`` frames W, overlapping by ``overlap`` O.

    One window if ``T <= W``, else ``n = ceil((T - W) / (W - O)) + 1`` of them. Window w starts at frame
    ``w * (W - O)`` and is kept from half an overlap after its start to half an overlap before its end, so that every
    kept frame but those at the ends of the audio has at least ``O // 2`` frames of context on either side. What is
    kept depends on T, W and O only, never on how a caller cuts the audio.

    Raises:
        CodectokError: sizes that make no progress.
    """
    if not 0 <= overlap < size:
        raise CodectokError(f"windows of {size} frames cannot overlap by {overlap}: the overlap must be smaller")
    step = size - overlap
    count = 1 if num_frames <= size else -(-(num_frames - size) // step) + 1
    found = []
    for w in range(count):
        start, last = w * step, w == count - 1
        keep_from = start + overlap // 2 if w else 0
        keep_to = num_frames if last else start + step + overlap // 2
        found.append(Window(start, num_frames if last else start + size, keep_from, keep_to))
    return found

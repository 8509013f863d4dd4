"""WAV files, chunk by chunk: where the samples lie, whatever the 32 bits that state their size say."""

from __future__ import annotations

from typing import BinaryIO

from codectok.audio.claims import FEW
from codectok.audio.layout import FileLayout, FileStream, Piece
from codectok.audio.tags import tag_size

_HUGE = 0x7FFF0000
"""Sizes from here on stand for "unknown": recorders that write to a pipe put a number near 2 or 4 GiB there."""
_SECTOR = 512
"""Bytes after the audio up to which they are no audio, where both sizes agree that it has ended."""
_MOST_CHUNKS = 10_000
_MOST_FILES = 1000


def riff_layout(file: BinaryIO, size: int) -> FileLayout:
    """Find the samples of a WAV file of ``size`` bytes; RF64 has sizes of 64 bits and is left to libsndfile."""
    if (several := _joined(file, size)) is not None:
        return several
    file.seek(0)
    head = file.read(12)
    found = _to_data(file, size)
    if found is None:
        return FileLayout()
    form, at, stated, odd = found
    rest = size - at
    total = int.from_bytes(head[4:8], "little") + 8
    warnings = ["has chunks without their padding"] if odd else []
    take = stated
    if stated == 0 and rest and not _chunks_follow(file, at, size):
        take = rest
        warnings.append(f"has a header that claims no audio: the {rest} bytes after it are read")
    elif stated > rest:
        if stated < _HUGE and stated - rest > FEW:
            return FileLayout()  # cut off, which is told when it is read
        take = rest
        claim = f"{stated} bytes of audio" if stated < _HUGE else "an unknown or impossible length"
        warnings.append(f"has a header that claims {claim}: the {rest} bytes up to its end are read")
    elif stated < rest and not _chunks_follow(file, at + stated, size):
        after = rest - stated
        if total - at in (stated, stated + 1) and after <= _SECTOR:
            warnings.append(f"has {after} bytes after its audio that are no audio, which are skipped")
        else:
            take = rest
            warnings.append(
                f"has a header that claims {stated} bytes of audio: the {rest} bytes up to its end are read"
            )
    if not warnings:
        return FileLayout()
    return FileLayout((FileStream(_rewritten(form, at, take)),), tuple(warnings))


def _joined(file: BinaryIO, size: int) -> FileLayout | None:
    """The files that a WAV file is joined of, if there is more than one."""
    starts = [0]
    while len(starts) < _MOST_FILES:
        file.seek(starts[-1] + 4)
        total = int.from_bytes(file.read(4), "little") + 8
        follow = [at for at in (starts[-1] + total, starts[-1] + total + total % 2) if _begins(file, at)]
        if not follow:
            break
        starts.append(follow[0])
    ends = [*starts[1:], size]
    found = tuple(FileStream(((start, stop),)) for start, stop in zip(starts, ends, strict=True))
    return FileLayout(found) if len(found) > 1 else None


def _begins(file: BinaryIO, at: int) -> bool:
    file.seek(at)
    head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WAVE"


def _to_data(file: BinaryIO, size: int) -> tuple[bytes, int, int, bool] | None:
    """The format chunk, where the samples begin, their stated bytes, and whether padding was missing before."""
    at, form, odd = 12, b"", False
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return None
        if not _is_name(head[:4]):
            # A chunk of odd length should be followed by a byte of padding, which some writers leave out.
            file.seek(at - 1)
            head = file.read(8)
            if not _is_name(head[:4]):
                return None
            at, odd = at - 1, True
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            return (form, at + 8, length, odd) if form else None
        if head[:4] == b"fmt " and length <= 2**16:
            form = head + file.read(length)
        at += 8 + length + length % 2
        if at > size:
            return None
    return None


def _chunks_follow(file: BinaryIO, at: int, size: int) -> bool:
    """Whether nothing but chunks, or a tag, lies between ``at`` and the end; each may lack its byte of padding."""
    for _ in range(_MOST_CHUNKS):
        if at >= size - 1:
            return True
        file.seek(at)
        head = file.read(64)
        if tag_size(head, lambda start, count: b"") == size - at:
            return True
        if not _is_name(head[:4]) and at % 2:
            at, head = at + 1, head[1:]
        if len(head) < 8 or not _is_name(head[:4]):
            return False
        at += 8 + int.from_bytes(head[4:8], "little")
        if at > size + 1:
            return False
    return False


def _is_name(text: bytes) -> bool:
    """Whether four bytes can be the name of a chunk."""
    return len(text) == 4 and all(32 <= c < 127 for c in text) and text.strip() != b""


def _rewritten(form: bytes, at: int, count: int) -> tuple[Piece, ...]:
    """With a header of 64-bit sizes (RF64, EBU Tech 3306) before the samples."""
    form += bytes(len(form) % 2)
    sizes = b"".join(n.to_bytes(8, "little") for n in (count + len(form) + 48, count, 0))
    head = b"RF64" + b"\xff" * 4 + b"WAVE" + b"ds64" + (28).to_bytes(4, "little") + sizes + bytes(4)
    return (head + form + b"data" + b"\xff" * 4, (at, at + count))

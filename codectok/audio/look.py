"""A look at a whole file before it is decoded: what container it is, and whether its header can be true."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import BinaryIO

from codectok.audio.decoder import Decoder, count_samples
from codectok.audio.layout import FileLayout
from codectok.audio.mpeg import LENGTHS, mpeg_layout
from codectok.audio.ogg import ogg_layout
from codectok.audio.riff import riff_layout
from codectok.audio.tags import id3_size

_SPHERE_COUNT = re.compile(rb"sample_count -i (\d+)")
_KEPT = 256
"""Layouts that are kept, of the files that were opened last: a file is opened to be measured, and for each segment."""


def layout_of(file: BinaryIO) -> FileLayout:
    """What a seekable file is made of; one that is neither WAV, Ogg nor MP3 is taken as it is."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        return riff_layout(file, size)
    if head[:4] == b"OggS":
        return ogg_layout(file, size)
    if head[:7] == b"NIST_1A":
        file.seek(0)
        found = _SPHERE_COUNT.search(file.read(1024))
        return FileLayout(claimed=int(found[1]) if found else None)
    if head[:3] == b"ID3" and len(head) >= 10:
        file.seek(id3_size(head))
        head = file.read(4)
    if head[:1] == b"\xff" and len(head) >= 4 and LENGTHS[head[1] << 8 | head[2]]:
        return mpeg_layout(file, size)
    return FileLayout()


def layout_at(path: bytes) -> FileLayout:
    """The same of the file at a path; looked at once, as long as it does not change.

    Raises:
        OSError: it cannot be opened.
    """
    state = os.stat(path)
    return _layout_at(path, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)


def count_at(path: bytes, name: str) -> int:
    """Samples of the file at a path whose header does not say; decoded for it once, as long as it does not change.

    Raises:
        AudioError: the file is damaged.
    """
    state = os.stat(path)
    return _count_at(path, name, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(_KEPT)
def _count_at(path: bytes, name: str, *_: int) -> int:
    with open(path, "rb") as file:
        decoder = Decoder(file, name)
        try:
            return count_samples(decoder)
        finally:
            decoder.close()


@lru_cache(_KEPT)
def _layout_at(path: bytes, *_: int) -> FileLayout:
    with open(path, "rb") as file:
        return layout_of(file)

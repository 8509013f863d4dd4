"""Long compressed files whose segments are wanted in any order: decoded once, as far as is asked for, and kept on disk.

A sample of an Opus, Vorbis or MP3 file is right only if all before it were decoded: a thousand segments of one hour,
each read by itself, cost five hundred hours of decoding.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from codectok.audio import ffmpeg
from codectok.audio.reader import AudioReader
from codectok.errors import AudioError
from codectok.items.item import Item
from codectok.items.sources import open_item

MIN_SECONDS = 60.0
"""Files up to this long are decoded anew for each segment."""
SHARE = 4
"""One part in so many of the free space for temporary files is taken at most, by each process."""
MOST_FILES = 64
_BYTES = 4
_Key = tuple[str, str | None, int, int, bool]


class DecodedFile:
    """The samples of a file from its start to as far as was asked for, float32, in a temporary file.

    Args:
        reader: of the file, at its start; closed with this.
    """

    def __init__(self, reader: AudioReader) -> None:
        self.bytes = reader.num_samples * _BYTES
        """When all is decoded."""
        self._reader, self._blocks = reader, reader.blocks()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by retire)
        self._count, self._users, self._retired = 0, 0, False
        self._ended: AudioError | None = None
        self._lock = threading.Lock()

    @contextmanager
    def used(self) -> Iterator[None]:
        """It stays until the end of the block."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
            self._close()

    def retire(self) -> None:
        """Delete it as soon as nobody uses it."""
        self._retired = True
        self._close()

    def decode_to(self, stop: int) -> None:
        """Decode as far as that.

        Raises:
            OSError: the disk is full.
        """
        with self._lock:
            try:
                while self._count < stop and (block := next(self._blocks, None)) is not None:
                    self._file.seek(self._count * _BYTES)
                    self._file.write(block.tobytes())
                    self._file.flush()
                    self._count += len(block)
            except AudioError as error:
                self._ended = error

    def blocks(self, seconds: float, start: int, stop: int) -> Iterator[np.ndarray]:
        """Of what was decoded, as those of an AudioReader.

        Raises:
            AudioError: the file is damaged before ``stop``.
        """
        size, end = max(1, int(seconds * self._reader.rate)), min(stop, self._count)
        for at in range(start, end, size):
            with self._lock:
                self._file.seek(at * _BYTES)
                data = self._file.read((min(at + size, end) - at) * _BYTES)
            yield np.frombuffer(data, np.float32)
        if end < stop and self._ended is not None:
            raise AudioError(*self._ended.args, path=self._ended.path)

    def _close(self) -> None:
        with self._lock:
            if self._retired and not self._users:
                self._file.close()
                with self._reader:
                    pass


_kept: OrderedDict[_Key, DecodedFile] = OrderedDict()
_lock = threading.Lock()


def segment_blocks(item: Item, reader: AudioReader, seconds: float, start: int, stop: int) -> Iterator[np.ndarray]:
    """``reader.blocks(seconds, start, stop)`` of an item's file, for the price of decoding it once.

    Raises:
        AudioError: as there.
    """
    if reader.sequential and reader.exact and reader.num_samples > MIN_SECONDS * reader.rate:
        file = _file_of(item, reader)
        if file is not None:
            with file.used():
                try:
                    file.decode_to(stop)
                except OSError:  # no more space
                    forget_decoded()
                else:
                    yield from file.blocks(seconds, start, stop)
                    return
    yield from reader.blocks(seconds, start, stop)


def forget_decoded() -> None:
    """Delete all that is kept."""
    with _lock:
        while _kept:
            _kept.popitem()[1].retire()
    ffmpeg.forget()


def _file_of(item: Item, reader: AudioReader) -> DecodedFile | None:
    """That of an item, or None where there is no place for it; those used longest ago make place."""
    try:
        state = os.stat(item.path)
        key = (item.path, item.member, state.st_size, state.st_mtime_ns, reader.strict)
        with _lock:
            if key in _kept:
                _kept.move_to_end(key)
                return _kept[key]
            needed = reader.num_samples * _BYTES
            space = shutil.disk_usage(tempfile.gettempdir()).free // SHARE
            if needed > space:
                return None
            while _kept and (len(_kept) >= MOST_FILES or sum(f.bytes for f in _kept.values()) + needed > space):
                _kept.popitem(last=False)[1].retire()
            _kept[key] = DecodedFile(open_item(item, reader.strict))
            return _kept[key]
    except OSError:
        return None

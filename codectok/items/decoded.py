"""Long compressed files whose segments are wanted in any order: decoded once, as far as is asked for, and kept on disk.

A sample of an Opus, Vorbis or MP3 file is right only if all before it were decoded: a thousand segments of one hour,
each read by itself, cost five hundred hours of decoding.
"""

from __future__ import annotations

import errno
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
        self.users = 0
        """Who read it now; changed under the module's lock alone."""
        self._reader, self._blocks = reader, reader.blocks()
        # Unbuffered: what a full disk did not take would be written again, and fail again, when the file is closed.
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by close_unused)
        self._count, self._retired, self._broken = 0, False, False
        self._ended: AudioError | None = None
        self._warnings: list[tuple[int, str]] = []
        self._lock = threading.Lock()

    def retire(self) -> None:
        """Delete it as soon as nobody uses it."""
        self._retired = True
        self.close_unused()

    def close_unused(self) -> None:
        """Delete it if it is retired and nobody uses it."""
        if self._retired and not self.users:
            self._file.close()
            with self._reader:
                pass

    def decode_to(self, stop: int) -> None:
        """Decode as far as that.

        Raises:
            OSError: the disk is full, or was before: the block that it did not take is lost.
        """
        with self._lock:
            if self._broken:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            try:
                while self._count < stop and self._decode_block():
                    pass
            except AudioError as error:
                self._ended = error
            except BaseException:
                self._broken = True
                raise

    def _decode_block(self) -> bool:
        """One block more; False at the end."""
        known = len(self._reader.warnings)
        block = next(self._blocks, None)
        if block is not None:
            self._file.seek(self._count * _BYTES)
            left = memoryview(block.tobytes())
            while left:
                left = left[self._file.write(left) :]
            self._count += len(block)
        self._warnings += [(self._count, text) for text in self._reader.warnings[known:]]
        return block is not None

    def warnings_to(self, stop: int) -> list[str]:
        """What is wrong with the file before ``stop``, as whoever decodes only that far is told."""
        return [text for at, text in self._warnings if at < stop]

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


_kept: OrderedDict[_Key, DecodedFile] = OrderedDict()
_lock = threading.RLock()
"""Of what is kept, and of who uses it. Reentrant: a reader left unfinished ends wherever memory is collected."""


def segment_blocks(item: Item, reader: AudioReader, seconds: float, start: int, stop: int) -> Iterator[np.ndarray]:
    """``reader.blocks(seconds, start, stop)`` of an item's file, for the price of decoding it once.

    Raises:
        AudioError: as there.
    """
    if reader.sequential and reader.exact and reader.num_samples > MIN_SECONDS * reader.rate:
        with _used(item, reader) as file:
            try:
                if file is not None:
                    file.decode_to(stop)
            except OSError:  # no more space
                file = None
                forget_decoded()
            if file is not None:
                reader.warnings += [text for text in file.warnings_to(stop) if text not in reader.warnings]
                yield from file.blocks(seconds, start, stop)
                return
    yield from reader.blocks(seconds, start, stop)


def forget_decoded() -> None:
    """Delete all that is kept."""
    with _lock:
        while _kept:
            _kept.popitem()[1].retire()
    ffmpeg.forget()


@contextmanager
def _used(item: Item, reader: AudioReader) -> Iterator[DecodedFile | None]:
    """That of an item, which stays until the end of the block; or None."""
    with _lock:  # for both, or another thread might retire and close it in between
        file = _file_of(item, reader)
        if file is not None:
            file.users += 1
    try:
        yield file
    finally:
        if file is not None:
            with _lock:
                file.users -= 1
                file.close_unused()


def _file_of(item: Item, reader: AudioReader) -> DecodedFile | None:
    """That of an item, or None where there is no place for it; those used longest ago make place."""
    try:
        state = os.stat(item.path)
        key = (item.path, item.member, state.st_size, state.st_mtime_ns, reader.strict)
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

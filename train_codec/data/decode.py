"""From an entry to its int16 samples, and how many bytes the samples of many entries will take."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from codectok.audio import resampled_blocks
from codectok.audio.samples import to_int16
from codectok.errors import AudioError
from codectok.items.clips import read_clip, seconds_of
from codectok.items.item import Item
from train_codec.data.entries import Entry

PROBES = 64


def decode(entry: Entry, rate: int, scratch: str) -> np.ndarray:
    """int16 [S] at ``rate`` Hz, mixed down; resampled by soxr if the file has another rate.

    Args:
        entry: the clip.
        rate: Hz.
        scratch: folder where the bytes of a clip in a shard may stand for a moment.

    Raises:
        AudioError: missing, damaged, truncated, empty or not finite.
    """
    with _as_file(entry, scratch) as item:
        if not item.whole or item.member is not None:
            return to_int16(read_clip(item, rate))
        return np.concatenate([to_int16(block) for block in resampled_blocks(item.path, rate)])


def estimate_bytes(entries: Sequence[Entry], rate: int, scratch: str) -> int:
    """About how many bytes the samples will take: from stated durations, else from a few files' sizes and lengths."""
    seconds = sum(e.item.duration for e in entries if e.item.duration is not None)
    unknown = [e for e in entries if e.item.duration is None]
    probed_bytes, probed_seconds = 0, 0.0
    for entry in unknown[:: max(1, len(unknown) // PROBES)]:
        try:
            with _as_file(entry, scratch) as item:
                found = seconds_of(item)
        except (AudioError, OSError):
            continue
        if found:
            probed_bytes, probed_seconds = probed_bytes + entry.size, probed_seconds + found
    if probed_bytes:
        seconds += probed_seconds / probed_bytes * sum(e.size for e in unknown)
    return int(2 * rate * seconds)


@contextmanager
def _as_file(entry: Entry, scratch: str) -> Iterator[Item]:
    """The item as an audio file: a clip in a shard is copied out first, so that one reader serves all."""
    if not entry.member:
        yield entry.item
        return
    with open(entry.item.path, "rb") as shard:
        shard.seek(entry.position)
        data = shard.read(entry.size)
    # Closed before it is read, and removed by hand: not every system lets a file be opened twice.
    handle, name = tempfile.mkstemp(suffix=Path(entry.member).suffix.lower(), dir=scratch)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        try:
            yield replace(entry.item, path=name)
        except AudioError as error:
            raise AudioError(str(error).replace(name, f"{entry.item.path}:{entry.member}")) from None
    finally:
        os.unlink(name)

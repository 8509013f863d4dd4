"""From an item to its samples: whole files and segments, at the rate that is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codectok.audio.reader import AudioReader, tell
from codectok.audio.samples import Resampler, check_samples
from codectok.errors import AudioError
from codectok.items.decoded import segment_blocks
from codectok.items.item import Item
from codectok.items.sources import describe, open_item

ROUNDING_SECONDS = 0.1
"""A segment may end this much after its file: manifests round their times. More means a wrong or truncated file."""


def seconds_of(item: Item) -> float | None:
    """Length of an item in seconds, by the manifest or the file's header; None if neither tells.

    It only orders and groups the work: what is wrong with a file is said when it is read.
    """
    if item.duration is not None:
        return item.duration
    try:
        with open_item(item) as reader:
            return max(0.0, reader.num_samples / reader.rate - (item.offset or 0.0))
    except (AudioError, OSError):
        return None


def read_clip(item: Item, rate: int, *, strict: bool = False, told: list[str] | None = None) -> np.ndarray:
    """Samples of an item, float32 [S] at ``rate`` Hz; of a segment, nothing else in the file is read.

    Args:
        item: to read.
        rate: Hz.
        strict: refuse a file that is damaged and could yet be read.
        told: takes the warnings; without, they are Python's.

    Raises:
        AudioError: unreadable, empty or not finite; a segment outside its file.
    """
    with open_item(item, strict) as reader:
        resampler = Resampler(reader.rate, rate)
        # Block by block: an hour at the file's rate need not be held beside the same at the other.
        parts = [resampler.push(block) for block in clip_blocks(item, reader)]
        samples = np.concatenate([*parts, resampler.flush()])
        if told is None:
            tell(reader)
        else:
            told += reader.warnings
    check_samples(samples)
    return samples


def clip_blocks(item: Item, reader: AudioReader, seconds: float = 10.0) -> Iterator[np.ndarray]:
    """Yield an item's samples out of its opened file, float32 [<= seconds * rate] at a time, at the file's rate.

    Raises:
        AudioError: a damaged file, samples that are not finite, or a segment outside its file.
    """
    if item.whole:
        yield from reader.blocks(seconds)
        return
    if reader.gaps:
        raise AudioError(f"{describe(item)} is damaged, and a segment may not lie where it did: copy it again")
    rate, total = reader.rate, reader.num_samples
    start = round((item.offset or 0.0) * rate)
    # Ends are rounded as starts are, so that pieces that tile a recording share and miss no sample.
    stop = total if item.duration is None else round(((item.offset or 0.0) + item.duration) * rate)
    if reader.exact and (start >= total or stop > total + ROUNDING_SECONDS * rate):
        raise AudioError(
            f"the segment from {start / rate:g} to {stop / rate:g} s is not in {describe(item)}, which has "
            f"{total / rate:g} s: correct the manifest's offset and duration"
        )
    yield from segment_blocks(item, reader, seconds, start, min(stop, total) if reader.exact else stop)

"""From an item to its samples: whole files and segments, at the rate that is asked for."""

from __future__ import annotations

import numpy as np

from codectok import audio
from codectok.corpus.manifest import Item
from codectok.errors import AudioError

ROUNDING_SECONDS = 0.1
"""A segment may end this much after its file: manifests round their times. More means a wrong or truncated file."""


def seconds_of(item: Item) -> float | None:
    """Length of an item in seconds, by the manifest or the file's header; None if neither tells.

    It only orders and groups the work: what is wrong with a file is said when it is read.
    """
    if item.duration is not None:
        return item.duration
    try:
        with audio.AudioReader(item.path) as reader:
            return max(0.0, reader.num_samples / reader.rate - (item.offset or 0.0))
    except (AudioError, OSError):
        return None


def read_clip(item: Item, rate: int) -> np.ndarray:
    """Samples of an item, float32 [S] at ``rate`` Hz; of a segment, nothing else in the file is read.

    Raises:
        AudioError: unreadable, empty or not finite; a segment outside its file.
    """
    samples, found = audio.read_audio(item.path) if item.whole else _read_segment(item)
    return audio.resample(samples, found, rate)


def _read_segment(item: Item) -> tuple[np.ndarray, int]:
    with audio.AudioReader(item.path) as reader:
        rate, total = reader.rate, reader.num_samples
        start = round((item.offset or 0.0) * rate)
        stop = total if item.duration is None else start + round(item.duration * rate)
        if start >= total or stop > total + ROUNDING_SECONDS * rate:
            raise AudioError(
                f"the segment from {start / rate:g} to {stop / rate:g} s is not in {item.path}, which has "
                f"{total / rate:g} s: correct the manifest's offset and duration"
            )
        samples = np.concatenate([np.zeros(0, np.float32), *reader.blocks(start=start, stop=stop)])
    audio.check_samples(samples)
    return samples, rate

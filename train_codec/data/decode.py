"""From an entry to its int16 samples, and how many bytes the samples of many entries will take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codectok.audio import resampled_blocks
from codectok.audio.samples import to_int16
from codectok.items.clips import read_clip, seconds_of
from train_codec.data.entries import AudioEntry

PROBES = 64


def decode(entry: AudioEntry, rate: int) -> np.ndarray:
    """int16 [S] at ``rate`` Hz, mixed down; resampled by soxr if the file has another rate.

    Args:
        entry: the clip.
        rate: Hz.

    Raises:
        AudioError: missing, damaged, truncated, empty or not finite.
    """
    item = entry.item
    if not item.whole or item.member is not None:
        return to_int16(read_clip(item, rate))
    return np.concatenate([to_int16(block) for block in resampled_blocks(item.path, rate)])


def estimate_bytes(entries: Sequence[AudioEntry], rate: int) -> int:
    """About how many bytes the samples will take: from stated durations, else from a few files' sizes and lengths."""
    seconds = sum(e.item.duration for e in entries if e.item.duration is not None)
    unknown = [e for e in entries if e.item.duration is None]
    probed_bytes, probed_seconds = 0, 0.0
    for entry in unknown[:: max(1, len(unknown) // PROBES)]:
        found = seconds_of(entry.item)
        if found:
            probed_bytes, probed_seconds = probed_bytes + entry.size, probed_seconds + found
    if probed_bytes:
        seconds += probed_seconds / probed_bytes * sum(e.size for e in unknown)
    return int(2 * rate * seconds)

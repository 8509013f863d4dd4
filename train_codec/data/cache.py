"""Clips decoded once into a raw int16 file and an index, and opened from there ever after.

Random access to any stretch is what crops need, and a fixed order is what an exact resume needs: tar shards, manifests
and folders all end here. 16 kHz audio takes 115 MB an hour.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock

from codectok.errors import CodectokError
from codectok.log import logger
from train_codec.data.build import Build, CacheOptions
from train_codec.data.clips import ClipArray, ClipSpan
from train_codec.data.entries import AudioEntry

LOG = logger(__name__)


def open_cache(
    folder: Path,
    key: str,
    entries: Callable[[], Sequence[AudioEntry]],
    rate: int,
    options: CacheOptions,
) -> ClipArray:
    """Open the clips cached under ``key``; if there are none, decode ``entries()`` first.

    Processes that ask for the same key at once do the work once. Killed at any moment, nothing half-written is used.

    Raises:
        AudioError: more than 5 % of the clips are unreadable, or none is left.
        CodectokError: the disk, or ``limit_gb``, is too small for the samples.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{key}.lock"):
        found = _read(folder, key)
        if found is not None:
            LOG.info("the audio was decoded before, into %s", folder)
        else:
            for left in folder.glob(f".{key}.*.tmp*"):  # of a run that was killed: we hold the lock, nobody writes it
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            if (folder / f"{key}.json").exists():
                LOG.warning("what is cached in %s as %s cannot be read: the audio is decoded again", folder, key)
            else:
                LOG.info("decoding the audio into %s", folder)
            Build(folder, key, entries(), rate, options).run()
            found = _read(folder, key)
    if found is None:
        raise CodectokError(f"{folder} lost what was written to it: is another program clearing it?")
    return found


def _read(folder: Path, key: str) -> ClipArray | None:
    data, index = folder / f"{key}.i16", folder / f"{key}.json"
    try:
        table = json.loads(index.read_text(encoding="utf-8"))
        lengths = [int(n) for n in table["lengths"]]
        if data.stat().st_size != 2 * sum(lengths):
            return None
        starts = np.cumsum([0, *lengths[:-1]]).tolist()
        clips = [ClipSpan(*row) for row in zip(table["ids"], starts, lengths, strict=True)]
        return ClipArray(np.memmap(data, dtype="<i2", mode="r"), clips, table["sample_rate"], table["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None

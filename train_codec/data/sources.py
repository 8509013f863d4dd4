"""Training audio from wherever it lies: a folder, a manifest or tar shards, opened by one function."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from train_codec.data.build import CacheOptions
from train_codec.data.cache import open_cache
from train_codec.data.clips import ClipArray
from train_codec.data.entries import AudioEntry, choose, stamp
from train_codec.data.files import file_entries, list_clips, path_entries
from train_codec.data.shards import find_shards, is_shards, shard_entries

VERSION = 2
"""Of the cache: raise it when the same audio would be decoded into other samples."""

PathLike = str | os.PathLike[str]


def open_clips(
    source: PathLike,
    use: str,
    cache: PathLike,
    sample_rate: int,
    *,
    splits: PathLike = "",
    val_share: float = 0.02,
    options: CacheOptions | None = None,
) -> ClipArray:
    """One part of some training audio, decoded once into ``cache`` as int16 at ``sample_rate``.

    Args:
        source: a folder (walked; WAV, FLAC, Ogg Vorbis and Opus, MP3), a manifest that ``codectok tokenize`` reads
            (list, table, JSONL, fairseq, wav.scp), or tar shards: ``a.tar``, ``shards/*.tar``,
            ``shards/{000..009}.tar``, several of these with blanks between, or a text list of them.
        use: ``fit``, ``val``, any mark in the source's ``use`` or ``split`` column (or .json), or "" for all.
            Without marks a share of the speakers is set apart by hash: see :func:`train_codec.data.entries.choose`.
        cache: folder of the decoded clips. Files that change are decoded again.
        sample_rate: Hz; audio at another rate is resampled.
        splits: table with columns ``path`` (relative to ``source``, a folder) and ``use``, instead of a walk.
        val_share: share of the groups that are validated on, where the source doesn't say.
        options: how to decode; None for the defaults.

    Raises:
        CodectokError: no such source or part, over 5 % unreadable, or the disk is too small.
    """
    text, options = os.fspath(source), options or CacheOptions()
    if os.fspath(splits):
        found = path_entries(Path(text), list_clips(Path(text), Path(splits), use))
    elif is_shards(text):
        files = find_shards(text)
        # Their headers are only read if they must be decoded: the shards' own sizes and times stand for the clips.
        key = _key([VERSION, sample_rate, options.min_seconds, use, val_share, *map(stamp, files)])
        chosen = lambda: choose(shard_entries(files), use, val_share)  # noqa: E731
        return open_cache(Path(cache), key, chosen, sample_rate, options)
    else:
        found = choose(file_entries(Path(text)), use, val_share)
    return _open(found, Path(cache), sample_rate, options)


def load_clips(root: Path, paths: list[str], cache: Path, sample_rate: int) -> ClipArray:
    """Decode ``paths`` (relative to ``root``) into ``cache``, or reuse it, and open the result.

    Raises:
        AudioError: over 5 % of the clips are missing or unreadable.
    """
    return _open(path_entries(root, paths), cache, sample_rate, CacheOptions(min_seconds=0.0))


def _open(entries: Sequence[AudioEntry], cache: Path, rate: int, options: CacheOptions) -> ClipArray:
    items = [(e.item.id, e.item.offset, e.item.duration, stamp(e.item.path)) for e in entries]
    return open_cache(cache, _key([VERSION, rate, options.min_seconds, *items]), lambda: entries, rate, options)


def _key(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

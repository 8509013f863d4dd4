"""Entries of tar shards, laid out as webdataset does: ``KEY.flac`` (or .wav, .ogg, .opus, .mp3), perhaps ``KEY.json``.

The shards are plain tar files, so a clip is a stretch of bytes: it is read straight from its position.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from codectok.errors import AudioError, FormatError
from codectok.files.suffixes import AUDIO_SUFFIXES
from codectok.items.readers.braces import expand_braces
from codectok.items.readers.webdataset import read_tar
from train_codec.data.entries import AudioEntry

_BETWEEN = re.compile(r"(?<=\.tar)\s+")


def is_shards(source: str) -> bool:
    """Whether a source names tar shards: it ends in .tar, or it is a text list of such files."""
    path = Path(source)
    if path.is_file() and path.suffix in (".txt", ".list"):
        lines = _lines(path)
        return bool(lines) and all(line.endswith(".tar") for line in lines)
    return source.strip().endswith((".tar", ".tar.gz", ".tgz"))


def find_shards(source: str) -> list[str]:
    """The files of one or more patterns with blanks between: ``a.tar``, ``shards/*.tar``, ``shards/{000..009}.tar``.

    A text list has one pattern a line, relative to the folder it is in. A file counts once; the order is as written,
    sorted within a ``*`` pattern.

    Raises:
        AudioError: a file that does not exist, or a pattern that matches none.
        FormatError: compressed shards.
    """
    path = Path(source)
    if path.is_file() and path.suffix in (".txt", ".list"):
        patterns = [str(path.parent / line) for line in _lines(path)]
    else:
        patterns = [source] if path.is_file() else _BETWEEN.split(source.strip())
    files: list[str] = []
    for pattern in (p for written in patterns for p in expand_braces(written)):
        found = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern))
        if not found:
            raise AudioError(f"there is no shard {pattern}: check the pattern {source!r}", path=source)
        files += found
    compressed = [f for f in files if not f.endswith(".tar")]
    if compressed:
        raise FormatError(f"{compressed[0]} is compressed, which audio gains nothing by: unpack it to a .tar first")
    return list(dict.fromkeys(files))


def shard_entries(files: list[str]) -> list[AudioEntry]:
    """The clips of tar shards, in their order; ``use`` or ``split``, and ``speaker``, from the .json beside a clip.

    Raises:
        FormatError: a file that is no tar, or one that is cut off.
        AudioError: no audio in any of them.
    """
    found = [AudioEntry.of(item) for file in files for item in read_tar(file, os.path.dirname(file))]
    if not found:
        raise AudioError(
            f"no audio ({' '.join(AUDIO_SUFFIXES)}) in {files[0]} and the other shards: check what they hold"
        )
    return found


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]

"""Entries of tar shards, laid out as webdataset does: ``KEY.flac`` (or .wav, .ogg, .opus, .mp3), perhaps ``KEY.json``.

The shards are plain tar files, so a clip is a stretch of bytes: it is read straight from its position.
"""

from __future__ import annotations

import glob
import json
import re
import tarfile
from pathlib import Path

from codectok.errors import AudioError, FormatError
from codectok.items.item import AUDIO_SUFFIXES, Item
from codectok.items.readers.braces import expand_braces
from train_codec.data.entries import Entry
from train_codec.data.files import SPEAKER_KEYS, USE_KEYS, label

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
            raise AudioError(f"there is no shard {pattern}: check the pattern {source!r}")
        files += found
    compressed = [f for f in files if not f.endswith(".tar")]
    if compressed:
        raise FormatError(f"{compressed[0]} is compressed, which audio gains nothing by: unpack it to a .tar first")
    return list(dict.fromkeys(files))


def shard_entries(files: list[str]) -> list[Entry]:
    """The clips of tar shards, in their order; ``use`` or ``split``, and ``speaker``, from the .json beside a clip.

    Raises:
        FormatError: a file that is no tar, or one that is cut off.
        AudioError: no audio in any of them.
    """
    found = [entry for file in files for entry in _entries(file)]
    if not found:
        raise AudioError(
            f"no audio ({' '.join(AUDIO_SUFFIXES)}) in {files[0]} and the other shards: check what they hold"
        )
    return found


def _entries(file: str) -> list[Entry]:
    audio: list[tuple[str, tarfile.TarInfo]] = []
    meta: dict[str, dict[str, object]] = {}
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                key, suffix = _key(member.name)
                if not member.isfile():
                    continue
                if suffix.lower() in AUDIO_SUFFIXES:
                    audio.append((key, member))
                elif suffix == ".json":
                    handle = tar.extractfile(member)
                    value = json.load(handle) if handle else {}
                    meta[key] = value if isinstance(value, dict) else {}
    except (tarfile.TarError, EOFError) as error:
        raise FormatError(f"{file} is not a whole tar file ({error}): copy it again") from None
    except ValueError as error:
        raise FormatError(f"{file}: {member.name} is not JSON ({error})") from None
    entries = []
    for key, member in audio:
        row = meta.get(key, {})
        where = {"member": member.name, "position": member.offset_data, "size": member.size}
        entries.append(Entry(Item(key, file), label(row, USE_KEYS), label(row, SPEAKER_KEYS), **where))  # type: ignore[arg-type]
    return entries


def _key(name: str) -> tuple[str, str]:
    """webdataset's key and suffix: the name up to the first dot of its last part, and the last suffix."""
    folder, slash, last = name.removeprefix("./").rpartition("/")
    return folder + slash + last.partition(".")[0], Path(last).suffix


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]

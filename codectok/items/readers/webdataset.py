"""Tar shards as webdataset writes them: an audio member is an item, read in place by its position."""

from __future__ import annotations

import errno
import glob
import json
import os
import re
import tarfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.files.suffixes import AUDIO_SUFFIXES, UNREAD_SUFFIXES
from codectok.files.tar_end import check_end
from codectok.items.columns import labels_of
from codectok.items.hashes import repeated, short_hash
from codectok.items.item import Item
from codectok.items.lines import escaped, make_item, numbered_lines
from codectok.items.readers.braces import expand_braces
from codectok.items.readers.folder import not_taken, walk

_TEXTS = {"txt": "text", "text": "text", "transcript": "text", "cls": "cls", "spk": "speaker", "lang": "language"}
"""Members that hold one label, and its name."""
MAX_LABEL_BYTES = 2**26


def read_webdataset(source: Path, root: str) -> Iterator[Item]:
    """The audio members of one tar, of all below a folder, or of a list or pattern of them; the id is the key.

    Labels are those of the ``.json``, ``.txt`` and ``.cls`` beside it.
    The key is the member's name up to the first dot after its folder: ``a/b.flac`` and ``a/b.json`` are ``a/b``.
    """
    for path in _shards(source, root):
        if source.is_dir() and not (path.lower().endswith(".tar") and os.path.isfile(path)):
            yield from not_taken(source, os.path.relpath(path, root) + "/" * path.endswith("/"), root)
            continue
        if not os.path.isfile(path):
            raise FormatError(
                f"{source} names the shard {path}, which is no file: correct it, or copy the shard", path=source
            )
        yield from read_tar(path, root)


def is_pattern(name: str) -> bool:
    """Whether a name stands for several tar files: ``shards/{000..009}.tar``, ``shards/*.tar``."""
    return name.endswith(".tar") and re.search(r"[{*?\[]", name) is not None


def _shards(source: Path, root: str) -> Iterator[str]:
    if source.is_dir():
        for path in walk(root, (".tar", *UNREAD_SUFFIXES), unlisted=True):
            yield os.path.join(root, path)
    elif source.suffix.lower() != ".tar":
        for _, line in numbered_lines(source):
            yield from _expanded(os.path.join(root, line.strip()))
    else:
        path = os.path.abspath(source)
        yield from [path] if source.exists() else _expanded(path)


def _expanded(pattern: str) -> Iterator[str]:
    """The files of a pattern: braces in the order written, stars sorted."""
    if "\0" in pattern:
        raise FormatError(
            f"{pattern.split(chr(0))[0]!r} is followed by a NUL byte, which no path has: correct the list"
        )
    for name in expand_braces(pattern):
        found = sorted(glob.glob(name)) if re.search(r"[*?\[]", name) and not os.path.exists(name) else [name]
        if not found:
            raise FormatError(f"no file matches {name}: correct the pattern")
        yield from found


def read_tar(path: str, root: str) -> Iterator[Item]:
    """The audio members of one tar, in its order.

    Raises:
        FormatError: it is no tar, compressed or cut off, or holds labels that are none.
    """
    grouped = _is_grouped(path)
    samples: dict[str, _Sample] = {}
    order: list[tuple[str, str]] = []
    for tar, member in _files(path):
        key = _key(member.name)
        if grouped and key not in samples:
            yield from (item for sample in samples.values() for item in sample.items())
            samples = {}
        place = samples.setdefault(key, _Sample(path, root, key)).add(tar, member)
        if place is not None and not grouped:
            order.append((key, place))
    if grouped:
        yield from (item for sample in samples.values() for item in sample.items())
    for key, place in order:
        yield samples[key].item(place)


def _is_grouped(path: str) -> bool:
    """Whether the members of each key lie side by side, as webdataset has it: else all labels are held at once."""
    keys, last = array("Q"), None
    for _, member in _files(path):
        if (key := _key(member.name)) != last:
            keys.append(short_hash(key))
            last = key
    return not repeated(keys)


def _files(path: str) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # or it would hold every header it has read
                audio = member.name.lower().endswith(AUDIO_SUFFIXES)
                if (member.isreg() or audio) and not os.path.basename(member.name).startswith("."):
                    yield tar, member
            check_end(path, tar.offset)
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, MemoryError) as e:
        if isinstance(e, OSError) and e.errno != errno.EINVAL:  # the disk's; that one is of a size below 0
            raise
        raise FormatError(
            f"{path} is not a whole tar file, or compressed ({e}): copy or make it again", path=path
        ) from e


def _key(name: str) -> str:
    folder, last = os.path.split(name)
    return escaped(os.path.join(folder, last.split(".", 1)[0]).removeprefix("./"))


class _Sample:
    """The members of one key."""

    def __init__(self, path: str, root: str, key: str) -> None:
        self.path, self.root, self.key = path, root, key
        self.audio: list[str] = []
        self.entry: dict[str, Any] = {}

    def add(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> str | None:
        """One more member: audio by its place, which is returned; a text or an object of labels by what is in it."""
        name = os.path.basename(member.name).lower()
        kind = name.partition(".")[2]
        if name.endswith((*AUDIO_SUFFIXES, *UNREAD_SUFFIXES)):
            # A link, a pipe or a device has no bytes, which reading it will say.
            size, what = (member.size, "") if member.isreg() else (0, " (a link or device)")
            self.audio.append(f"tar:{member.offset_data}:{size}:{escaped(member.name)}{what}")
            return self.audio[-1]
        if kind in ("json", *_TEXTS) and member.size <= MAX_LABEL_BYTES:
            file = tar.extractfile(member)
            text = file.read().decode("utf-8-sig", "replace") if file else ""
            if kind == "json":
                self.entry = {**self._json(text, member), **self.entry}
            else:
                self.entry[_TEXTS[kind]] = text.strip()
        return None

    def _json(self, text: str, member: tarfile.TarInfo) -> dict[str, Any]:
        try:
            entry = json.loads(text, strict=False)
        except (ValueError, RecursionError) as e:
            raise FormatError(f"{self.path}: {escaped(member.name)} is not JSON: correct it", path=self.path) from e
        return entry if isinstance(entry, dict) else {"json": entry}

    def item(self, place: str) -> Item:
        """That of one audio member."""
        own = "id" if self.entry.get("id") == self.key else None  # which says nothing more
        labels = labels_of(self.entry, (own,), contained=True)
        return make_item(Path(self.path), None, self.key, self.path, self.root, member=place, labels=labels)

    def items(self) -> Iterator[Item]:
        """One for each audio member, with the labels of all."""
        return map(self.item, self.audio)

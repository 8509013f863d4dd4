"""Tar shards as webdataset writes them: an audio member is an item, read in place by its position."""

from __future__ import annotations

import glob
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from codectok.errors import FormatError
from codectok.items.item import AUDIO_SUFFIXES, Item
from codectok.items.readers.braces import expand_braces
from codectok.items.readers.folder import walk
from codectok.items.readers.lines import escaped, make_item, numbered_lines


def read_webdataset(source: Path, root: str) -> Iterator[Item]:
    """The audio members of one tar, of all below a folder, or of a list or pattern of them; the id is the key.

    The key is the member's name up to the first dot after its folder: ``a/b.flac`` and ``a/b.json`` are ``a/b``.
    """
    for path in _shards(source, root):
        yield from _members(source, path, root)


def is_pattern(name: str) -> bool:
    """Whether a name stands for several tar files: ``shards/{000..009}.tar``, ``shards/*.tar``."""
    return name.endswith(".tar") and re.search(r"[{*?\[]", name) is not None


def _shards(source: Path, root: str) -> Iterator[str]:
    if source.is_dir():
        for path in walk(root, (".tar",)):
            yield os.path.join(root, path)
    elif source.suffix.lower() != ".tar":
        for _, line in numbered_lines(source):
            yield from _expanded(os.path.join(root, line.strip()))
    else:
        path = os.path.abspath(source)
        yield from [path] if source.exists() else _expanded(path)


def _expanded(pattern: str) -> Iterator[str]:
    """The files of a pattern: braces in the order written, stars sorted."""
    for name in expand_braces(pattern):
        found = sorted(glob.glob(name)) if re.search(r"[*?\[]", name) and not os.path.exists(name) else [name]
        if not found:
            raise FormatError(f"no file matches {name}: correct the pattern")
        yield from found


def _members(source: Path, path: str, root: str) -> Iterator[Item]:
    if not os.path.isfile(path):
        raise FormatError(f"{source} names the shard {path}, which is no file: correct it, or copy the shard")
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # or it would hold every header it has read
                folder, name = os.path.split(member.name)
                if not (member.isreg() and name.lower().endswith(AUDIO_SUFFIXES)) or name.startswith("."):
                    continue
                key = escaped(os.path.join(folder, name.split(".", 1)[0]).removeprefix("./"))
                where = f"tar:{member.offset_data}:{member.size}:{escaped(member.name)}"
                yield make_item(source, None, key, path, root, member=where)
    except tarfile.TarError as e:
        raise FormatError(f"{path} is not a whole, uncompressed tar file ({e}): copy or make it again") from e

"""What a source of training audio lists, and which of it is trained on and which validated on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codectok.errors import CodectokError, FormatError
from codectok.items.item import Item
from codectok.items.labels import find_text
from codectok.items.sources import stored_bytes

MIN_GROUPS = 10
"""Fewer speakers (or folders) than this are not split by speaker: the val part would be one voice, or none."""
ALIASES = {"fit": ("fit", "train", "training"), "val": ("val", "valid", "validation", "dev")}
"""Names under which manifests mark the two parts; the first that a manifest has counts."""


@dataclass(frozen=True, slots=True)
class AudioEntry:
    """One clip of a source.

    Attributes:
        item: id and where its audio lies.
        use: what the source marks it with; "" if it says nothing.
        speaker: if the source names it.
        size: bytes of the encoded audio, 0 if there is no such file.
    """

    item: Item
    use: str = ""
    speaker: str = ""
    size: int = 0

    @staticmethod
    def of(item: Item) -> AudioEntry:
        """The entry of an item, by its labels."""
        use, speaker = find_text(item.labels, "use", "split"), find_text(item.labels, "speaker")
        return AudioEntry(item, use, speaker, stored_bytes(item))


def choose(entries: Sequence[AudioEntry], use: str, val_share: float) -> list[AudioEntry]:
    """The entries of one part; ``use`` "" is all of them.

    If the source marks its entries, the marks decide. If it marks none, about ``val_share`` of the groups are ``val``
    and the others ``fit``: a group is in ``val`` if the hash of its name is below the share, so it stays where it is
    when others come or go. Groups are the speakers if the source names at least ten, else the first level of folders
    (of the ids) that has at least ten, else single clips. There is always at least one group of each part.

    Raises:
        CodectokError: no entry belongs to that part.
    """
    if not use:
        return list(entries)
    marks = {e.use for e in entries if e.use}
    if marks:
        mark = next((name for name in ALIASES.get(use, (use,)) if name in marks), None)
        if mark is None:
            raise FormatError(
                f"no clip is marked {use!r} (there are: {', '.join(sorted(marks)[:8])}): mark some, or leave the "
                "column 'use' or 'split' out to have a share set apart"
            )
        return [e for e in entries if e.use == mark]
    if use not in ALIASES:
        raise CodectokError(f"the clips are not marked, so there are only 'fit' and 'val': there is no {use!r}")
    group = _grouping(entries)
    names = sorted({group(e) for e in entries}, key=_share)
    if len(names) < 2:
        raise CodectokError("a single clip cannot be both trained and validated on: give more audio")
    count = sum(_share(name) < val_share for name in names)
    chosen = set(names[: min(max(1, count), len(names) - 1)])
    return [e for e in entries if (group(e) in chosen) == (use == "val")]


def _share(name: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def _grouping(entries: Sequence[AudioEntry]) -> Callable[[AudioEntry], str]:
    if len({e.speaker for e in entries}) >= MIN_GROUPS:
        return lambda e: e.speaker
    deepest = max((e.item.id.count("/") for e in entries), default=0)
    for depth in range(1, deepest + 1):
        if len({_folder(e, depth) for e in entries}) >= MIN_GROUPS:
            return lambda e: _folder(e, depth)
    return lambda e: e.item.id


def _folder(entry: AudioEntry, depth: int) -> str:
    return "/".join(entry.item.id.split("/")[:-1][:depth])


def stamp(path: str) -> tuple[str, int, int]:
    """Path, size and time of change of a file, which tell whether it was replaced; size 0 if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.abspath(path), 0, 0
    return os.path.abspath(path), found.st_size, found.st_mtime_ns

"""What a clip of a corpus is called, where its labels, its alignment and its failures are kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from codectok.items.item import Item
from codectok.metrics.segments import ClipNames, Segment


def relative(item: Item, root: str) -> str:
    """The path of an item's file as the corpus's manifest writes it."""
    return item.path.removeprefix(root.rstrip("/") + "/")


def clip_name(item: Item, root: str) -> str:
    """The path of a file, the id of a segment: several segments may be of one file.

    A segment whose manifest gives it no id has that of its path, so no other is of this file, and the path names it.
    """
    path = relative(item, root)
    return path if item.whole or item.id == os.path.splitext(path.lstrip("/"))[0] else item.id


def names_of(items: Iterable[Item], root: str) -> dict[str, str]:
    """The name of each clip, by its id."""
    return {item.id: clip_name(item, root) for item in items}


def by_clip(phones: Mapping[str, Sequence[Segment]], names: Mapping[str, str]) -> dict[str, Sequence[Segment]]:
    """Labels by the names of the corpus's clips, found by name or id; those of other clips are left out."""
    clips = ClipNames(names.values(), names)
    found = ((clips.find(key), segments) for key, segments in phones.items())
    return {name: segments for name, segments in found if name is not None}

"""A folder of audio files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from codectok.items.item import AUDIO_SUFFIXES, Item
from codectok.items.lines import escaped, make_item


def read_folder(source: Path, root: str) -> Iterator[Item]:
    """All audio files below a folder, hidden ones left out, ordered by the parts of their relative paths.

    What should be searched and cannot be (a folder without permission, a link to nothing that may have been a folder)
    is an item too: it fails when it is read, so that the errors of a run list it.
    """
    for relative in walk(root, AUDIO_SUFFIXES, unlisted=True):
        if relative.endswith("/"):
            yield Item(escaped(relative), os.path.join(root, relative.rstrip("/")))
        else:
            yield make_item(source, None, escaped(os.path.splitext(relative)[0]), relative, root)


def walk(root: str, suffixes: tuple[str, ...], unlisted: bool = False) -> Iterator[str]:
    """Relative paths of the files below ``root`` with one of ``suffixes``, in any case, by the parts of their paths.

    Links to folders are followed, but none into a folder that contains it. With ``unlisted``, a folder that cannot be
    listed is yielded too, with a slash at its end.
    """
    stack: list[tuple[str, bool, frozenset[tuple[int, int]]]] = [("", True, frozenset())]
    while stack:
        relative, is_folder, above = stack.pop()
        path = os.path.join(root, relative)
        if is_folder:
            try:
                state = os.stat(path)
                here = state.st_dev, state.st_ino  # not its real path: looking that up costs the square of its depth
                if here in above:  # a link to a folder that contains it
                    continue
                found = sorted(_list(path), reverse=True)
            except OSError:
                if not relative:
                    raise
                if unlisted:
                    yield relative + "/"
                continue
            inside = above | {here}
            stack += [(os.path.join(relative, name), is_folder, inside) for name, is_folder in found]
        elif relative.lower().endswith(suffixes):
            yield relative
        elif unlisted and "." not in os.path.basename(relative) and os.path.islink(path) and not os.path.exists(path):
            yield relative + "/"


def _list(folder: str) -> Iterator[tuple[str, bool]]:
    """Names in a folder that are not hidden, and whether each is a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                try:
                    yield entry.name, entry.is_dir()
                except OSError:  # a link to itself
                    yield entry.name, False

"""A folder of audio files."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from codectok.errors import FormatError
from codectok.files.suffixes import AUDIO_SUFFIXES, SHARD_SUFFIXES, UNREAD_SUFFIXES
from codectok.items.item import Item
from codectok.items.lines import escaped, make_item

_MEMBERS = 100
"""Members of a tar file that are looked at."""


def read_folder(source: Path, root: str) -> Iterator[Item]:
    """All audio files below a folder, hidden ones left out, ordered by the parts of their relative paths.

    What should be searched and cannot be (a folder without permission, a link to nothing that may have been a folder),
    and what holds audio and is not read, is an item too: it fails when it is read, so that the errors of a run list it.
    """
    for relative in walk(root, (*AUDIO_SUFFIXES, *UNREAD_SUFFIXES, *SHARD_SUFFIXES), unlisted=True):
        if not relative.lower().endswith(AUDIO_SUFFIXES):
            yield from not_taken(source, relative, root)
        else:
            yield make_item(source, None, escaped(os.path.splitext(relative)[0]), relative, root)


def not_taken(source: Path, relative: str, root: str) -> Iterator[Item]:
    """The item, which will fail, of a file or folder that is not read and holds audio; its id has the suffix."""
    path = os.path.join(root, relative)
    if relative.endswith("/"):
        yield Item(escaped(relative), path.rstrip("/"))
    elif not relative.lower().endswith(SHARD_SUFFIXES) or (_may_hold_audio(path) and not _in_store(path, root)):
        yield make_item(source, None, escaped(relative), relative, root)


def _in_store(path: str, root: str) -> bool:
    """Whether a file belongs to a store of tokens that lies in the corpus."""
    folder = os.path.dirname(path)
    while len(folder) > len(root):
        if any(os.path.exists(os.path.join(folder, name)) for name in ("store.json", ".work")):
            return True
        folder = os.path.dirname(folder)
    return False


def _may_hold_audio(path: str) -> bool:
    """Whether a shard has audio in it, as far as its start tells; what cannot be opened may have."""
    if not os.path.isfile(path):
        return True
    if os.path.getsize(path) == 0:
        return False
    try:
        if path.lower().endswith(".tar"):
            with tarfile.open(path, "r:") as tar:
                names = [member.name.lower() for member in islice(tar, _MEMBERS)]
            return any(name.endswith((*AUDIO_SUFFIXES, *UNREAD_SUFFIXES)) for name in names)
        from codectok.items.readers.audio_column import audio_column
        from codectok.items.rows import schema_of

        return audio_column(path, schema_of(path)).embedded
    except FormatError:  # no column of audio
        return False
    except Exception:  # whatever is wrong with it, or that reads it
        return True


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

"""What a corpus lists, and what the readers of corpora share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from codectok.errors import FormatError
from codectok.items.item import Item
from codectok.items.lines import open_text


@dataclass(frozen=True, slots=True)
class Listed:
    """An item that a corpus lists, whose audio need not be there.

    Attributes:
        split: name of the manifest, perhaps with a folder: ``train-clean-100``, ``de/train``.
        item: unique in its split.
    """

    split: str
    item: Item


Lister = Callable[[Path], Iterator[Listed]]
"""Of the kind ``corpora``: lists a corpus that lies in a folder, which the first line of its docstring describes."""


def listed(
    key: str,
    path: Path,
    split: str,
    text: str | None = None,
    speaker: str | None = None,
    language: str | None = None,
    offset: float | None = None,
    duration: float | None = None,
) -> Listed:
    """An item of a split.

    Args:
        key: its id.
        path: of the audio file.
        split: name of the manifest.
        text: transcript; None where the corpus has none.
        speaker: as the corpus names it; None where it doesn't.
        language: ISO 639 code, or as the corpus names it.
        offset: start in the file in seconds; None for a whole file.
        duration: in seconds; None to take it from the file.
    """
    labels = {"speaker": speaker, "text": text, "language": language}
    known = {name: value for name, value in labels.items() if value is not None}
    return Listed(split, Item(key, str(path), offset, duration, labels=known))


def layout_error(folder: Path, lister: Lister) -> FormatError:
    """The error of a folder that is not laid out as the corpus is, which the first line of the docstring says."""
    expected = (lister.__doc__ or "the folder of the corpus").strip().split("\n", 1)[0].rstrip(".")
    return FormatError(f"{folder} is not laid out as expected: give {expected}", path=folder)


def text_of(path: Path) -> str | None:
    """The one line of a transcript file; None if there is no such file, or nothing in it."""
    try:
        with open_text(path) as file:
            return " ".join(file.read().split()) or None
    except FileNotFoundError:
        return None


def folders(folder: Path) -> list[Path]:
    """The folders in a folder that are not hidden, sorted by name."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files in a folder with one of ``suffixes``, sorted by name; hidden ones are left out."""
    found = (p for p in folder.iterdir() if p.name.lower().endswith(suffixes) and not p.name.startswith("."))
    return sorted(found)

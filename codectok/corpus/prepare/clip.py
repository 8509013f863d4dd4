"""What a corpus says of one clip, and what the readers of corpora share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codectok.errors import FormatError
from codectok.items.readers.lines import open_text


@dataclass(frozen=True, slots=True)
class Clip:
    """One line of a manifest to be.

    Attributes:
        id: unique in its split.
        path: of the audio file, which need not be there.
        split: name of the manifest, perhaps with a folder: ``train-clean-100``, ``de/train``.
        text: transcript; None where the corpus has none.
        speaker: as the corpus names it; None where it doesn't.
        language: ISO 639 code, or as the corpus names it.
        offset: start in the file in seconds; None for a whole file.
        duration: in seconds; None to take it from the file.
    """

    id: str
    path: Path
    split: str
    text: str | None = None
    speaker: str | None = None
    language: str | None = None
    offset: float | None = None
    duration: float | None = None


def layout_error(folder: Path, expected: str) -> FormatError:
    """The error of a folder that is not laid out as the corpus is."""
    return FormatError(f"{folder} is not laid out as expected: give {expected}")


def rows(path: Path, delimiter: str) -> Iterator[dict[str, str]]:
    """Rows of an unquoted table with a header; cells that are missing are ""."""
    with open_text(path, newline="") as file:
        header = file.readline().rstrip("\r\n").split(delimiter)
        for number, line in enumerate(file, start=2):
            cells = line.rstrip("\r\n").split(delimiter)
            if not line.strip():
                continue
            if len(cells) > len(header):
                raise FormatError(f"line {number} of {path} has more columns than the header: copy the file again")
            yield dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=True))


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

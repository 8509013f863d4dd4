"""Entries of folders and manifests, by the readers that tokenizing a corpus uses."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from codectok.errors import AudioError
from codectok.items.corpus import read_corpus
from codectok.items.item import Item
from codectok.items.tables import table_rows
from train_codec.data.entries import AudioEntry


def file_entries(source: Path) -> list[AudioEntry]:
    """Entries of a folder (walked, sorted) or a manifest; its columns ``use`` or ``split``, and ``speaker``, are read.

    Raises:
        FormatError: not a manifest that codectok reads, or a malformed line.
    """
    found = [AudioEntry.of(item) for item in read_corpus(source)]
    if not found:
        raise AudioError(
            f"no audio in {source}: give a folder with audio files, or a manifest that lists some", path=source
        )
    return found


def list_clips(root: Path, splits: Path, use: str) -> list[str]:
    """Paths (relative to ``root``) of the clips that ``splits`` marks with ``use``."""
    rows = [r for _, r in table_rows(splits, ("path", "use")) if r["use"] == use or not use]
    if not rows:
        raise AudioError(
            f"no clip of {splits} is marked {use!r}: choose one of the values in its 'use' column", path=splits
        )
    return [r["path"] for r in rows]


def path_entries(root: Path, paths: Iterable[str]) -> list[AudioEntry]:
    """Entries of files given relative to ``root``; the ids are the paths as given."""
    return [AudioEntry.of(Item(path, os.path.normpath(root / path))) for path in paths]

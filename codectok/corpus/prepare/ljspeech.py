"""LJ Speech (Ito and Johnson, 2017): ``metadata.csv`` with ``id|text|normalized text``, ``wavs/ID.wav``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.corpus.prepare.listing import Listed, layout_error, listed
from codectok.items.lines import numbered_lines


def clips(root: Path) -> Iterator[Listed]:
    """LJSpeech-1.1: the folder with metadata.csv and wavs.

    Each line, with its normalized text; the corpus has no splits, so all are in ``all``.
    """
    if not (root / "metadata.csv").is_file():
        raise layout_error(root, clips)
    for _, line in numbered_lines(root / "metadata.csv"):
        key, *texts = line.split("|")
        text = next((t.strip() for t in reversed(texts) if t.strip()), None)
        yield listed(key, root / "wavs" / f"{key}.wav", "all", text, "LJ", "en")

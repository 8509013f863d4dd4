"""LibriSpeech (Panayotov et al., 2015): ``PART/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac`` and ``*.trans.txt``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.corpus.prepare.listing import Listed, Lister, files, folders, layout_error, listed
from codectok.items.lines import numbered_lines

PARTS = ("train-", "dev-", "test-")


def parts_of(root: Path, lister: Lister) -> list[Path]:
    """The folders train-*, dev-*, test-* in ``root``, or in the one folder in it that has them.

    Raises:
        FormatError: there are none.
    """
    for folder in (root, *folders(root)):
        found = [p for p in folders(folder) if p.name.startswith(PARTS)]
        if found:
            return found
    raise layout_error(root, lister)


def clips(root: Path) -> Iterator[Listed]:
    """LibriSpeech: the folder with train-clean-100, dev-clean, ...

    Each utterance of a transcript, and each file without a line in it; a split is a part.
    """
    for part in parts_of(root, clips):
        for speaker in folders(part):
            for chapter in folders(speaker):
                yield from _chapter(chapter, speaker.name, part.name)


def _chapter(chapter: Path, speaker: str, split: str) -> Iterator[Listed]:
    texts: dict[str, str] = {}
    for transcript in files(chapter, (".trans.txt",)):
        for _, line in numbered_lines(transcript):
            key, _, text = line.partition(" ")
            texts[key] = text.strip()
    for key in sorted(texts | {p.stem: "" for p in files(chapter, (".flac",))}):
        yield listed(key, chapter / f"{key}.flac", split, texts.get(key), speaker, "en")

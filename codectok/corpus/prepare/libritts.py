"""LibriTTS (Zen et al., 2019) and LibriTTS-R: ``PART/SPEAKER/CHAPTER/NAME.wav``, ``NAME.normalized.txt``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.corpus.prepare.librispeech import parts_of
from codectok.corpus.prepare.listing import Listed, files, folders, listed, text_of

_TEXT = ".normalized.txt"


def clips(root: Path) -> Iterator[Listed]:
    """LibriTTS or LibriTTS-R: the folder with train-clean-100, dev-clean, ...

    Each wav and each normalized transcript; a split is a part.
    """
    for part in parts_of(root, clips):
        for speaker in folders(part):
            for chapter in folders(speaker):
                names = {p.name[: -len(_TEXT)] for p in files(chapter, (_TEXT,))}
                for name in sorted(names | {p.stem for p in files(chapter, (".wav",))}):
                    text = text_of(chapter / (name + _TEXT))
                    yield listed(name, chapter / f"{name}.wav", part.name, text, speaker.name, "en")

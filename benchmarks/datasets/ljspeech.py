"""LJSpeech (Ito and Johnson 2017): speech synthesis. ``metadata.csv`` (id|text|numbers spelled), ``wavs/``."""

from __future__ import annotations

from pathlib import Path

from codectok.errors import CodectokError

from ..contract import Clip, Dataset
from .entry import DatasetEntry
from .layout import inside, lines

WHAT = "LJSpeech-1.1 (metadata.csv and wavs/)"


def open_tts(name: str, root: Path) -> Dataset:
    """The last chapter is the test set, the one before it valid: no chapter is in two splits."""
    folder = inside(root, "LJSpeech-1.1")
    chapters: dict[str, list[Clip]] = {}
    for line in lines(folder / "metadata.csv", WHAT):
        ident, _, text = line.split("|")
        chapter = ident.partition("-")[0]
        clip = Clip(ident, str(folder / "wavs" / f"{ident}.wav"), "LJ", " ".join(text.split()), chapter, "en")
        chapters.setdefault(chapter, []).append(clip)
    if len(chapters) < 3:
        raise CodectokError(f"{folder / 'metadata.csv'} lists under three chapters: give the folder of {WHAT}")
    *train, valid, test = (chapters[chapter] for chapter in sorted(chapters))
    return Dataset(
        name=name,
        task="tts",
        train=tuple(clip for clips in train for clip in clips),
        valid=tuple(valid),
        tests={"test": tuple(test)},
        rules=("session-disjoint", "prompt-disjoint"),
        root=str(root),
        licence="public domain",
        note="one speaker, in train and test; chapters and texts kept apart",
    )


TTS = DatasetEntry("ljspeech-tts", "tts", open_tts, WHAT)
"""One reader, to be spoken from text."""

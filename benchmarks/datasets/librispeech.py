"""LibriSpeech (Panayotov et al. 2015), 100 hours: speech recognition, and phones by the lexicon that goes with it.

``{train-clean-100,dev-clean,test-clean,test-other}/SPEAKER/CHAPTER/*.flac`` with ``*.trans.txt`` beside them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..contract import Clip, Dataset
from .entry import DatasetEntry
from .layout import inside, lines, need, notes, words

WHAT = "LibriSpeech as unpacked (train-clean-100, dev-clean, test-clean, test-other)"
LEXICON = "librispeech-lexicon.txt"


def open_asr(name: str, root: Path) -> Dataset:
    """Words of train-clean-100, dev-clean, test-clean and, where it is there, test-other."""
    folder = inside(root, "LibriSpeech")
    tests = {"test-clean": _clips(folder, "test-clean")}
    if (folder / "test-other").is_dir():
        tests["test-other"] = _clips(folder, "test-other")
    return Dataset(
        name=name,
        task="asr",
        train=_clips(folder, "train-clean-100"),
        valid=_clips(folder, "dev-clean"),
        tests=tests,
        rules=("speaker-disjoint", "session-disjoint"),
        root=str(root),
        licence="CC-BY-4.0",
    )


def open_pr(name: str, root: Path) -> Dataset:
    """The same clips with the phones of their words: first pronunciation, without stress, words not parted.

    ``librispeech-lexicon.txt`` (openslr.org/11) lies in ``root`` or beside the splits; a clip with a word that is not
    in it is left out, and the note counts them.
    """
    folder = inside(root, "LibriSpeech")
    path = folder / LEXICON if (folder / LEXICON).exists() else need(root / LEXICON, f"{WHAT} with {LEXICON} in it")
    lexicon: dict[str, str] = {}
    for line in lines(path, WHAT):
        word, *phones = line.split()
        lexicon.setdefault(word.lower(), " ".join(phone.rstrip("012") for phone in phones))
    data, missing = open_asr(name, root), 0

    def phoned(clips: tuple[Clip, ...]) -> tuple[Clip, ...]:
        nonlocal missing
        found = [c for c in clips if all(word in lexicon for word in c.label.split())]
        missing += len(clips) - len(found)
        return tuple(replace(c, label=" ".join(lexicon[word] for word in c.label.split())) for c in found)

    return replace(
        data,
        task="pr",
        train=phoned(data.train),
        valid=phoned(data.valid),
        tests={test: phoned(clips) for test, clips in data.tests.items()},
        note=notes(
            "phones are the lexicon's first pronunciation of each word, not what was said",
            f"{missing} clips with words that the lexicon lacks left out" if missing else "",
        ),
    )


def _clips(folder: Path, split: str) -> tuple[Clip, ...]:
    found = []
    for listing in sorted(need(folder / split, WHAT).glob("*/*/*.trans.txt")):
        speaker, chapter = listing.parts[-3:-1]
        for line in lines(listing, WHAT):
            ident, _, text = line.partition(" ")
            path = str(listing.with_name(f"{ident}.flac"))
            found.append(Clip(ident, path, speaker, words(text), session=f"{speaker}-{chapter}", language="en"))
    return tuple(found)


ASR = DatasetEntry("librispeech-asr", "asr", open_asr, WHAT)
"""Read English: words."""
PR = DatasetEntry("librispeech-pr", "pr", open_pr, f"{WHAT} and {LEXICON}")
"""Read English: phones."""

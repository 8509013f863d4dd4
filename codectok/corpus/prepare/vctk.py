"""VCTK (Yamagishi et al.), 0.92: ``wav48_silence_trimmed/p225/p225_001_mic1.flac``; 0.80: ``wav48/p225/p225_001.wav``.

Transcripts are ``txt/p225/p225_001.txt``; speaker p315 has none, and p280 and p315 have no second microphone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.corpus.prepare.listing import Listed, files, folders, layout_error, listed, text_of


def clips(root: Path) -> Iterator[Listed]:
    """VCTK 0.92 or 0.80: the folder with txt and wav48_silence_trimmed or wav48.

    Each file; the splits are ``mic1`` and ``mic2``, of 0.80 ``all``. A transcript without audio is of ``mic1``.
    """
    new = root / "wav48_silence_trimmed"
    audio = new if new.is_dir() else root / "wav48"
    if not audio.is_dir():
        raise layout_error(root, clips)
    first = ("mic1", "_mic1.flac") if audio == new else ("all", ".wav")
    speakers = {p.name for p in folders(audio)}
    speakers |= {p.name for p in folders(root / "txt")} if (root / "txt").is_dir() else set()
    for speaker in sorted(speakers):
        texts = root / "txt" / speaker
        here = audio / speaker
        found = {p.name for p in files(here, (".flac", ".wav"))} if here.is_dir() else set()
        spoken = {p.stem for p in files(texts, (".txt",))} if texts.is_dir() else set()
        found |= {key + first[1] for key in spoken}
        for name in sorted(found):
            key = Path(name).stem
            utterance, microphone, mic = key.partition("_mic")
            split = f"mic{mic}" if microphone else "all"
            yield listed(key, here / name, split, text_of(texts / f"{utterance}.txt"), speaker, "en")

"""The corpora that can be prepared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from codectok.corpus.prepare.listing import Listed
from codectok.errors import CodectokError

CORPORA = {
    "librispeech": "LibriSpeech: the folder with train-clean-100, dev-clean, ...",
    "libritts": "LibriTTS or LibriTTS-R: the folder with train-clean-100, dev-clean, ...",
    "ljspeech": "LJSpeech-1.1: the folder with metadata.csv and wavs",
    "vctk": "VCTK 0.92 or 0.80: the folder with txt and wav48_silence_trimmed or wav48",
    "commonvoice": "Common Voice: a language's folder with clips and train.tsv, or one with several languages",
    "gigaspeech": "GigaSpeech: the folder with GigaSpeech.json and audio",
    "voxpopuli": "VoxPopuli transcribed speech: transcribed_data, or one language in it",
    "mls": "Multilingual LibriSpeech: mls_german, or a folder with several mls_*",
    "speechcommands": "Speech Commands: the folder with a folder a word and testing_list.txt",
}
"""Name and what DIR is; the module of a corpus has its name."""


def reader_of(name: str) -> Callable[[Path], Iterator[Listed]]:
    """The function that lists a corpus.

    Raises:
        CodectokError: no such corpus.
    """
    key = name.lower().replace("-", "").replace("_", "").replace(" ", "")
    if key not in CORPORA:
        raise CodectokError(f"no corpus is called {name!r}: choose one of {', '.join(CORPORA)}")
    clips: Callable[[Path], Iterator[Listed]] = import_module(f"codectok.corpus.prepare.{key}").clips
    return clips

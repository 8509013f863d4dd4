"""Model folders and vocabularies: their JSON changed, their weights as they were."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import codectok
from codectok.llm import AudioVocab
from codectok.transforms.unit_bpe import UnitBPE
from codectok.units.vocoder.folder import open_vocoder
from tests.files.mutants import mutant
from tests.import_graph import ROOT

OLD = ROOT / "tests/data/v0_1"


class Json:
    """JSON files in folders, and what uses each."""

    name = "json"
    sources: tuple[tuple[Path, str, Callable[[Path], object]], ...] = ()

    def __init__(self, folder: Path) -> None:
        self.places = []
        for number, (source, file, use) in enumerate(self.sources):
            copy = folder / str(number)
            shutil.copytree(source, copy)
            self.places.append((copy, file, (copy / file).read_text(), use))
        self.at: int | None = None

    def change(self, rng: random.Random) -> None:
        """A mutant of one of the files; the one before is put back."""
        if self.at is not None:
            folder, file, text, _ = self.places[self.at]
            (folder / file).write_text(text)
        self.at = rng.randrange(len(self.places))
        folder, file, text, _ = self.places[self.at]
        (folder / file).write_text(mutant(json.loads(text), rng))

    def use(self) -> None:
        """The folder of that file; before there is a mutant, all folders."""
        for folder, _, _, use in self.places if self.at is None else [self.places[self.at]]:
            use(folder)


def opened(folder: Path) -> None:
    """A tokenizer."""
    assert codectok.load(str(folder)).frame_rate > 0


def vocabulary(folder: Path) -> None:
    """An audio vocabulary and all that is reckoned of it."""
    vocab = AudioVocab.load(folder)
    assert vocab.rows >= 0
    assert vocab.fingerprint


class Config(Json):
    """Codecs, units and their encoder, a vocoder."""

    name = "config"
    sources = (
        *((OLD / "codecs" / name, "config.json", opened) for name in ("dac", "encodec", "harmonic", "mimi")),
        (OLD / "km", "config.json", opened),
        (OLD / "km", "encoder/config.json", opened),
        (OLD / "vocoder", "config.json", open_vocoder),
    )


class Vocab(Json):
    """Vocabularies of audio tokens, and merges of units."""

    name = "vocab"
    sources = (
        (OLD / "vocab-orpheus", "audio_vocab.json", vocabulary),
        (OLD / "model", "audio_vocab.json", vocabulary),
        (OLD / "bpe", "bpe.json", UnitBPE.load),
    )

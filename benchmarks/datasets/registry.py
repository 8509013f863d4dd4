"""The data sets that suites can name, and which file reads each layout."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from benchmarks.datasets.splits import check_splits
from benchmarks.nouns import Dataset
from codectok.errors import CodectokError


@dataclass(frozen=True)
class DatasetEntry:
    """A data set that can be opened.

    Attributes:
        name: as suites write it.
        task: it is made for.
        reader: "module:function" under ``benchmarks.datasets``, called with the name and the folder.
        folder: what the folder must hold; "" where the data ship with the package.
    """

    name: str
    task: str
    reader: str
    folder: str = ""


_LIBRISPEECH = "LibriSpeech (train-clean-100, dev-clean, test-clean, test-other as unpacked)"
_COMMON_VOICE = "a Common Voice release (LANGUAGE/{train,dev,test}.tsv and LANGUAGE/clips)"
_GIGASPEECH = "GigaSpeech (GigaSpeech.json and audio)"
_IEMOCAP = "IEMOCAP_full_release (Session1 to Session5)"
_SLURP = "SLURP (dataset/slurp with metadata.json, audio/slurp_real)"
_COMMANDS = "Speech Commands v2 (word folders, validation_list.txt, testing_list.txt, _background_noise_)"
_VOXCELEB = "VoxCeleb1 (wav, iden_split.txt, veri_test2.txt or veri_test.txt)"
_VOICEBANK = "VoiceBank-DEMAND ({noisy,clean}_{trainset_28spk,testset}_wav)"
_LIBRI2MIX = "Libri2Mix (wav16k/min/{train-100,dev,test}/{mix_clean,s1,s2})"
_LJSPEECH = "LJSpeech-1.1 (metadata.csv and wavs)"

_ENTRIES = (
    *(DatasetEntry(f"mini-{task}", task, "mini:open_mini") for task in ("si", "sv", "lid", "asr", "se", "ss")),
    DatasetEntry("mini-resynthesis", "resynthesis", "mini:open_mini"),
    DatasetEntry("librispeech-asr", "asr", "librispeech:open_asr", _LIBRISPEECH),
    DatasetEntry("librispeech-pr", "pr", "librispeech:open_pr", f"{_LIBRISPEECH} and librispeech-lexicon.txt"),
    DatasetEntry("commonvoice-cy-asr", "asr", "common_voice:open_asr", _COMMON_VOICE),
    DatasetEntry("commonvoice-eu-asr", "asr", "common_voice:open_asr", _COMMON_VOICE),
    DatasetEntry("gigaspeech-asr", "asr", "gigaspeech:open_asr", _GIGASPEECH),
    DatasetEntry("gigast-st", "st", "gigaspeech:open_st", f"{_GIGASPEECH} and GigaST.de.json"),
    DatasetEntry("gigast-zh-st", "st", "gigaspeech:open_st", f"{_GIGASPEECH} and GigaST.zh.json"),
    DatasetEntry("iemocap-er", "er", "iemocap:open_er", _IEMOCAP),
    *(DatasetEntry(f"iemocap-er-fold{fold}", "er", "iemocap:open_er", _IEMOCAP) for fold in range(1, 6)),
    DatasetEntry("slurp-ic", "ic", "slurp:open_ic", _SLURP),
    DatasetEntry("slurp-ic-official", "ic", "slurp:open_ic", _SLURP),
    DatasetEntry("speech-commands-ks", "ks", "speech_commands:open_ks", _COMMANDS),
    DatasetEntry("voxceleb1-si", "si", "voxceleb:open_si", _VOXCELEB),
    DatasetEntry("voxceleb1-sv", "sv", "voxceleb:open_sv", _VOXCELEB),
    DatasetEntry("voicebank-se", "se", "voicebank:open_se", _VOICEBANK),
    DatasetEntry("libri2mix-ss", "ss", "libri2mix:open_ss", _LIBRI2MIX),
    DatasetEntry("ljspeech-tts", "tts", "ljspeech:open_tts", _LJSPEECH),
)
DATASETS = {entry.name: entry for entry in _ENTRIES}


def dataset_names(task: str | None = None) -> list[str]:
    """Names of the data sets, all or of one task, in the order they are listed."""
    return [entry.name for entry in _ENTRIES if task in (None, entry.task)]


def open_dataset(name: str, root: str | Path | None = None) -> Dataset:
    """Read the lists of a data set and check its splits; audio is read clip by clip later.

    Args:
        name: see :data:`DATASETS`.
        root: folder of the data as unpacked; not needed for ``mini-*``.

    Raises:
        LeakageError: its splits share what they must not.
        NotComputed: clips that it cannot do without are not here.
        CodectokError: no such data set, no folder, or the folder has another layout.
    """
    entry = DATASETS.get(name)
    if entry is None:
        close = get_close_matches(name, DATASETS, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(DATASETS)}"
        raise CodectokError(f"there is no data set {name!r}: {hint}")
    if entry.folder and root is None:
        raise CodectokError(f"{name} needs its folder: {entry.folder}")
    if root is not None and not Path(root).is_dir():
        raise CodectokError(f"{root} is not a folder: {name} needs {entry.folder or 'no folder'}")
    module, function = entry.reader.split(":")
    read = getattr(importlib.import_module(f"benchmarks.datasets.{module}"), function)
    dataset: Dataset = read(name, None if root is None else Path(root))
    for split, clips in {"train": dataset.train, "valid": dataset.valid, **dataset.tests}.items():
        if not clips and not (entry.task == "resynthesis" and split in ("train", "valid")):
            raise CodectokError(f"{name} has no clips in {split}: check the folder {dataset.root}")
    check_splits(dataset)
    return dataset

"""Every layout on a tiny tree: what is read, what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contract import RATE, LeakageError
from benchmarks.datasets import DATASETS, dataset_names, open_dataset, read_clip, read_targets
from codectok.errors import AudioError, CodectokError
from tests.benchmarks.trees import splits, text, voice, write

LAYOUTS = [name for name in dataset_names() if not name.startswith("mini-")]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_opens_reads_and_keeps_its_rules(name: str, tree: Callable[[str], Path], tmp_path: Path) -> None:
    root = tree(name)
    data = open_dataset(name, root)
    assert (data.name, data.task) == (name, DATASETS[name].task)
    assert data.licence
    for clips in splits(data).values():
        assert clips
        for clip in (clips[0], clips[-1]):
            assert Path(clip.path).is_relative_to(root)
            x, targets = read_clip(clip), read_targets(clip)
            assert 0.3 * RATE < len(x) < 2 * RATE
            assert np.abs(x).max() > 0.01
            assert [len(t) for t in targets] == [len(x)] * {"ss": 2}.get(data.task, 1)
    if data.task not in ("se", "ss"):
        assert all(clip.label for clips in splits(data).values() for clip in clips)
    if data.task not in ("si", "tts", "asr", "st") and name != "slurp-ic-official":
        assert "speaker-disjoint" in data.rules
    moved = tmp_path / "elsewhere"
    shutil.move(root, moved)
    assert open_dataset(name, moved).sha256 == data.sha256


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_empty_folder_is_one_clear_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(CodectokError, match="is missing: give the folder of") as error:
        open_dataset(name, tmp_path)
    assert "\n" not in str(error.value)


def test_names_and_folders_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(CodectokError, match="did you mean librispeech-asr"):
        open_dataset("libri-speech-asr", tmp_path)
    with pytest.raises(CodectokError, match="librispeech-asr needs its folder: LibriSpeech"):
        open_dataset("librispeech-asr")
    with pytest.raises(CodectokError, match="is not a folder"):
        open_dataset("librispeech-asr", tmp_path / "none")


def test_librispeech(tree: Callable[[str], Path]) -> None:
    root = tree("librispeech-asr")
    data = open_dataset("librispeech-asr", root)
    assert set(data.tests) == {"test-clean", "test-other"}
    assert len(data.train) == 12
    assert {c.label for c in data.train} <= {"a cat", "no dog", "the sun", "it's me", "go up", "see it"}
    assert open_dataset("librispeech-asr", root / "LibriSpeech").train == data.train
    shutil.rmtree(root / "LibriSpeech/test-other")
    assert set(open_dataset("librispeech-asr", root).tests) == {"test-clean"}


def test_librispeech_speaker_in_two_splits_is_refused(tree: Callable[[str], Path]) -> None:
    root = tree("librispeech-asr")
    text(root / "LibriSpeech/test-clean/26/99/26-99.trans.txt", "26-99-0000 A CAT")
    with pytest.raises(LeakageError, match=r"speaker '26' is in train .* and in test-clean"):
        open_dataset("librispeech-asr", root)


def test_phones_of_the_lexicon(tree: Callable[[str], Path]) -> None:
    root = tree("librispeech-pr")
    lexicon = (root / "librispeech-lexicon.txt").read_text().splitlines()
    data = open_dataset("librispeech-pr", root)
    words = {c.id: c.label for c in open_dataset("librispeech-asr", root).train}
    assert {words[c.id]: c.label for c in data.train}["a cat"] == "AH K AE T"
    assert "left out" not in data.note
    text(root / "librispeech-lexicon.txt", *(line for line in lexicon if not line.startswith("CAT")), "NO\tXX1")
    fewer = open_dataset("librispeech-pr", root)
    lost = sum(c.label.startswith("AH K AE T") for clips in splits(data).values() for c in clips)
    assert lost > 0
    assert f"{lost} clips with words that the lexicon lacks left out" in fewer.note
    assert {c.label for c in fewer.train} < {c.label for c in data.train}
    assert "N OW D AO G" in {c.label for c in fewer.train}  # the first of a word's pronunciations


def test_common_voice_leaves_test_speakers_out_of_train(tree: Callable[[str], Path]) -> None:
    data = open_dataset("commonvoice-cy-asr", tree("commonvoice-cy-asr"))
    assert {c.speaker for c in data.train} == {"client1", "client2", "client3"}
    assert "train: 3 clips of 1 test or valid speakers left out" in data.note
    assert {c.label for c in data.train} == {"mae'r ŵy", "mae'r gwyn", "mae'r môr"}
    assert data.train[0].language == "cy"


def test_gigaspeech_stretches_and_tags(tree: Callable[[str], Path]) -> None:
    root = tree("gigaspeech-asr")
    data = open_dataset("gigaspeech-asr", root)
    assert [len(clips) for clips in splits(data).values()] == [12, 4, 4]  # the stretch of music is left out
    clip = data.train[1]
    assert (clip.offset, clip.duration, clip.label) == (1.0, 0.9, "no dog now")
    assert len(read_clip(clip)) == round(0.9 * RATE)
    meta = json.loads((root / "GigaSpeech.json").read_text())
    meta["audios"][4]["aid"] = "POD1"
    text(root / "GigaSpeech.json", json.dumps(meta))
    with pytest.raises(LeakageError, match="session 'POD1'"):
        open_dataset("gigaspeech-asr", root)


def test_gigast_joins_translations_to_stretches(tree: Callable[[str], Path]) -> None:
    data = open_dataset("gigast-st", tree("gigast-st"))
    assert data.tests["test"][0].label == "Satz 4 0."
    assert {c.session for c in data.train}.isdisjoint(c.session for c in data.valid)
    assert len(data.train) + len(data.valid) == 12


def test_voicebank_holds_two_speakers_out(tree: Callable[[str], Path]) -> None:
    root = tree("voicebank-se")
    data = open_dataset("voicebank-se", root)
    assert {c.speaker for c in data.valid} == {"p226", "p287"}
    assert {c.speaker for c in data.train} == {"p228", "p230"}
    noisy, (clean,) = read_clip(data.train[0]), read_targets(data.train[0])
    assert 0.01 < np.std(noisy - clean) < 0.1
    next((root / "clean_testset_wav").iterdir()).unlink()
    with pytest.raises(CodectokError, match=r"clean_testset_wav/p.* is missing"):
        open_dataset("voicebank-se", root)


def test_a_test_list_that_is_the_training_list_is_refused(tree: Callable[[str], Path]) -> None:
    root = tree("voicebank-se")
    for kind in ("noisy", "clean"):
        shutil.rmtree(root / f"{kind}_testset_wav")
        shutil.copytree(root / f"{kind}_trainset_28spk_wav", root / f"{kind}_testset_wav")
    with pytest.raises(LeakageError, match="voicebank-se is not utterance-disjoint"):
        open_dataset("voicebank-se", root)


def test_libri2mix_speakers_are_those_of_both_utterances(tree: Callable[[str], Path]) -> None:
    root = tree("libri2mix-ss")
    data = open_dataset("libri2mix-ss", root)
    assert data.train[0].speaker == "19+26"
    mixed, (first, second) = read_clip(data.train[0]), read_targets(data.train[0])
    np.testing.assert_allclose(mixed, first + second, atol=1e-3)
    folder = root / "Libri2Mix/wav16k/min/test"
    for part in ("mix_clean", "s1", "s2"):
        write(folder / part / "61-1-0009_26-1-0000.wav", voice(1))
    with pytest.raises(LeakageError, match="speaker '26'"):
        open_dataset("libri2mix-ss", root)


def test_ljspeech_splits_by_chapter(tree: Callable[[str], Path]) -> None:
    root = tree("ljspeech-tts")
    data = open_dataset("ljspeech-tts", root)
    assert {c.session for c in data.train} == {"LJ001", "LJ002"}
    assert {c.session for c in data.tests["test"]} == {"LJ004"}
    assert data.tests["test"][0].label == "a cat, number four"
    assert "one speaker" in data.note


def test_a_clip_that_is_missing_is_told_when_it_is_read(tree: Callable[[str], Path]) -> None:
    root = tree("ljspeech-tts")
    data = open_dataset("ljspeech-tts", root)
    Path(data.train[0].path).unlink()
    with pytest.raises(AudioError, match="does not exist"):
        read_clip(open_dataset("ljspeech-tts", root).train[0])

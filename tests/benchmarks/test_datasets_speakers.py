"""Layouts whose splits are by speaker, session or video: emotion, intent, keywords, speakers."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.datasets import open_dataset
from tests.benchmarks.trees import splits, text


@pytest.mark.parametrize("fold", range(1, 6))
def test_iemocap_folds(fold: int, tree: Callable[[str], Path]) -> None:
    data = open_dataset(f"iemocap-er-fold{fold}", tree("iemocap-er"))
    assert {c.speaker for c in data.tests["test"]} == {f"Ses{fold:02d}F", f"Ses{fold:02d}M"}
    assert len({c.speaker for c in data.train}) == 6
    assert Counter(c.label for c in data.tests["test"]) == {"ang": 2, "hap": 4, "sad": 2, "neu": 2}


def test_iemocap_is_fold_one(tree: Callable[[str], Path]) -> None:
    root = tree("iemocap-er")
    assert open_dataset("iemocap-er", root).tests == open_dataset("iemocap-er-fold1", root).tests


def test_slurp_keeps_speakers_apart_and_has_its_own_splits_too(tree: Callable[[str], Path]) -> None:
    root = tree("slurp-ic")
    data, official = open_dataset("slurp-ic", root), open_dataset("slurp-ic-official", root)
    assert [len(c) for c in splits(official).values()] == [24, 12, 18]
    assert [len(c) for c in splits(data).values()] == [16, 2, 3]
    assert "21 of the 54 recordings" in data.note
    assert "6 test speakers are in train" in official.note
    assert {c.label for c in data.tests["test"]} == {"alarm", "music", "weather"}


def test_speech_commands_have_twelve_classes(tree: Callable[[str], Path]) -> None:
    data = open_dataset("speech-commands-ks", tree("speech-commands-ks"))
    counts = Counter(c.label for c in data.train)
    assert len(counts) == 12
    assert (counts["yes"], counts["unknown"], counts["silence"]) == (4, 4, 4)
    for clips in splits(data).values():
        assert {"unknown", "silence"} <= {c.label for c in clips}
    silence = [c for c in data.tests["test"] if c.label == "silence"]
    assert all(c.offset is not None and c.offset >= 0.9 * 12 for c in silence)


def test_voxceleb_identification_shares_speakers_but_no_video(tree: Callable[[str], Path]) -> None:
    root = tree("voxceleb1-si")
    data = open_dataset("voxceleb1-si", root)
    assert [len(c) for c in splits(data).values()] == [14, 14, 14]
    assert data.note == ""
    rows = (root / "iden_split.txt").read_text().splitlines()
    text(root / "iden_split.txt", *rows, "3 id10001/video9/00001.wav", "1 id10001/video9/00002.wav")
    changed = open_dataset("voxceleb1-si", root)
    assert "train: 1 clips of 1 test videos left out" in changed.note
    assert changed.train == data.train
    text(root / "iden_split.txt", *rows, "2 id10002/video9/00001.wav", "1 id10002/video9/00002.wav")
    changed = open_dataset("voxceleb1-si", root)
    assert "valid is one training video a speaker" in changed.note
    assert {c.session for c in changed.valid} == {"id10002/video9"}


def test_voxceleb_trials(tree: Callable[[str], Path]) -> None:
    root = tree("voxceleb1-sv")
    data = open_dataset("voxceleb1-sv", root)
    assert {c.speaker for c in data.tests["test"]} == {"id10270", "id10271"}
    assert len({c.speaker for c in data.train}) == 3
    assert Counter(t.same for t in data.trials["test"]) == {True: 8, False: 9}
    ids = {c.id for c in data.tests["test"]}
    assert all({t.enrol, t.test} <= ids for t in data.trials["test"])
    (root / "dev").mkdir()
    shutil.copytree(root / "wav", root / "dev/wav", ignore=lambda _, names: [n for n in names if n.startswith("id102")])
    shutil.copytree(
        root / "wav", root / "test/wav", ignore=lambda _, names: [n for n in names if n.startswith("id100")]
    )
    shutil.rmtree(root / "wav")
    apart = open_dataset("voxceleb1-sv", root)
    assert len(apart.train) == len(data.train)
    assert all(Path(c.path).exists() for c in (*apart.train, *apart.tests["test"]))

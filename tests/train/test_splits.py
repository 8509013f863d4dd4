"""Splits of the packaged speech, and the oldest form of training data: a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from codectok import AudioError, FormatError
from train_codec.data import list_clips, load_clips
from train_codec.splits import assign


def test_splits_keep_whole_speakers_and_prompts_apart() -> None:
    row = {"split": "train", "speaker": "allison", "transcript": "Hello.", "path": "a"}
    assert assign(row) == assign(row | {"path": "b"})
    assert assign(row | {"speaker": "klettres-uk"}) == "val"
    assert assign(row | {"split": "dev"}) == "dev"


def test_the_cache_tells_folders_apart(tmp_path: Path) -> None:
    for name, value in (("a", 0.1), ("b", 0.2)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "x.wav", np.full(100, value), 16000)
    first, second = (load_clips(tmp_path / name, ["x.wav"], tmp_path / "cache", 16000) for name in "ab")
    assert first.samples[0] < second.samples[0]


def test_bad_training_audio_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("words")
    for name in ("x.wav", "missing.wav"):
        with pytest.raises(AudioError, match=name):
            load_clips(tmp_path, [name], tmp_path / "cache", 16000)
    (tmp_path / "splits.tsv").write_text("file\tuse\nx.wav\tfit\n")
    with pytest.raises(FormatError, match="no column path"):
        list_clips(tmp_path, tmp_path / "splits.tsv", "fit")

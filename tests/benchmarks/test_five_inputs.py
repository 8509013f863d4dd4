"""The study of five inputs: which clips it takes, how it splits them, and one run of it in small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.studies.five_inputs import INPUTS, PACKAGED, KeywordClip, chance, keyword_clips, main, split
from codectok.audio import write_audio
from codectok.errors import CodectokError

for _package in ("transformers", "accelerate", "scipy"):
    pytest.importorskip(_package)


def test_packaged_clips_hold_the_keywords_each_alone() -> None:
    clips = keyword_clips(PACKAGED, ["conference", "message", "enter", "call"])
    assert len(clips) > 60
    for clip in clips:
        assert clip.keyword in clip.text.lower()
        assert Path(clip.path).is_file()
        assert sum(f" {word} " in f" {clip.text.lower()} " for word in ("conference", "message", "enter", "call")) <= 1
    with pytest.raises(CodectokError, match="hold 'zebra' alone: choose other keywords"):
        keyword_clips(PACKAGED, ["conference", "zebra"])


def test_no_transcript_is_in_training_and_test() -> None:
    clips = [KeywordClip(f"{i}", "", f"Text {i // 2}, go{'!' * (i % 2)}", "go") for i in range(20)]
    clips += [KeywordClip(f"s{i}", "", f"stop {i}", "stop") for i in range(10)]
    for seed in range(5):
        train, test = split(clips, seed)
        assert len(train) + len(test) == len(clips)
        plain = [{clip.text.rstrip("!") for clip in part} for part in (train, test)]
        assert not plain[0] & plain[1]
        assert sum(clip.keyword == "stop" for clip in test) == 3
        low, high = chance(train, test)
        assert low < 50 < high < 100
    assert split(clips, 0) != split(clips, 1)


def test_one_command_makes_the_table(tmp_path: Path) -> None:
    lines = ["id\tpath\ttext"]
    for n in range(16):
        time = np.arange(3200 + 160 * n) / 16000
        tone = 0.3 * np.sin(2 * np.pi * (300 if n % 2 else 1500) * time).astype(np.float32)
        write_audio(tmp_path / f"{n}.wav", tone, 16000)
        lines.append(f"{n}\t{n}.wav\tplease {'stop' if n % 2 else 'go'} number {n}")
    (tmp_path / "clips.tsv").write_text("\n".join(lines) + "\n")
    result = CliRunner().invoke(main, [
        str(tmp_path / "clips.tsv"), "-o", str(tmp_path / "out"), "--keywords", "stop,go", "--encoder", "logmel",
        "--tokenizer", "units", "--projector", "conv", "--steps", "40", "--seeds", "2", "--json",
    ])  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = {row["input"]: row for row in json.loads(result.stdout)}
    assert tuple(rows) == INPUTS
    assert rows["continuous"]["accuracy"] == 100
    assert rows["none"]["accuracy"] <= 50
    assert rows["shuffled"]["accuracy"] < 100
    assert json.loads((tmp_path / "out/rows.json").read_text()) == list(rows.values())

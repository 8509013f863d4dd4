"""The quality bench on the clips in the repository."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from benchmarks.studies.quality import main

SPEECH = Path(__file__).parents[2] / "benchmarks/speech"


def run(*extra: str) -> str:
    splits = str(SPEECH / "splits.tsv")
    result = CliRunner().invoke(main, ["--data", str(SPEECH), "--splits", splits, "--use", "val", *extra])
    assert result.exit_code == 0, result.output
    return result.output


def test_pcm_is_nearly_perfect_and_runs_are_written_down(tmp_path: Path) -> None:
    pytest.importorskip("pesq")
    log = tmp_path / "runs.jsonl"
    for _ in range(2):
        run("--tokenizer", "pcm", "--log", str(log))
    first, second = (json.loads(line) for line in log.read_text().splitlines())
    assert first == second
    (row,) = first["rows"]
    assert row["clips"] == 3
    assert row["pesq"][0] > 4.0
    assert row["stoi"][0] > 0.99
    assert row["pesq"][1] <= row["pesq"][0] <= row["pesq"][2]
    assert row["kbit/s"] == 128


def test_the_default_codec_is_better_with_more_codebooks(tmp_path: Path) -> None:
    pytest.importorskip("pesq")
    log = tmp_path / "runs.jsonl"
    run("--codebooks", "2", "--codebooks", "24", "--log", str(log))
    few, many = json.loads(log.read_text())["rows"]
    assert few["stoi"][0] < many["stoi"][0]
    assert few["mel"][0] > many["mel"][0]
    assert many["kbit/s"] == 6


def score(folder: Path, clips: dict[str, int], *extra: str) -> Result:
    """Run on noise of two seconds, at the given rates."""
    for name, rate in clips.items():
        soundfile.write(folder / name, np.random.default_rng(0).normal(0, 0.1, rate * 2), rate)
    (folder / "splits.tsv").write_text("path\tuse\n" + "".join(f"{name}\tval\n" for name in clips))
    paths = ["--data", str(folder), "--splits", str(folder / "splits.tsv")]
    return CliRunner().invoke(main, ["--tokenizer", "pcm", *paths, *extra])


def test_one_clip_has_no_interval(tmp_path: Path) -> None:
    result = score(tmp_path, {"a.wav": 16000})
    assert result.exit_code == 0
    assert "[" not in result.stdout


def test_a_metric_that_fails_on_every_clip_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "codectok.metrics.reconstruction.compute", lambda names, *_: ({}, dict.fromkeys(names, "failed"))
    )
    result = score(tmp_path, {"a.wav": 16000})
    assert result.exit_code == 0
    assert result.stdout.split()[-1] == "1"


def test_clips_of_several_rates_are_refused(tmp_path: Path) -> None:
    result = score(tmp_path, {"a.wav": 16000, "b.wav": 8000})
    assert result.exit_code == 2
    assert "[8000, 16000] Hz" in result.stderr


def test_no_clips_is_an_error(tmp_path: Path) -> None:
    result = score(tmp_path, {"a.wav": 16000}, "--use", "nosuch")
    assert result.exit_code == 2
    assert "no clips" in result.stderr

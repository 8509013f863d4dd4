"""The quality bench on the clips in the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.quality import main

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

"""``--explain`` of every command that reads settings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from codectok.cli.main import main

ROOT = Path(__file__).parents[2]
STAGES = "batch: 4\nstages:\n  - {trainable: new-rows, steps: 3, learning_rate: 1e-3}\n"


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    (tmp_path / "stages.yaml").write_text(STAGES)
    monkeypatch.chdir(tmp_path)
    return ["llm", "train", ".", "model", "stages.yaml"]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, [*arguments, "--explain"])
    assert result.exit_code == 0, result.output
    return result.stdout


def settings(*arguments: str) -> dict[str, dict[str, object]]:
    return {row["key"]: row for row in json.loads(run(*arguments, "--json"))}


@pytest.mark.parametrize(
    "command",
    ["train speech-16k", "train mimi-24k", "train units-16k", "train unit-vocoder", "units fit hubert-large", "llm",
     "bench run dasb", "bench run study"],
)  # fmt: skip
def test_off_a_terminal_all_of_it_in_80_columns(command: str, stages: list[str]) -> None:
    arguments = stages if command == "llm" else command.split()
    text, rows = run(*arguments), settings(*arguments)
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    for key, row in rows.items():
        assert f"{key}:" in text
        assert " ".join(f"{row['meaning']} ({row['allowed']})".split()) in words
        assert row["meaning"]


def test_where_it_comes_from(stages: list[str]) -> None:
    rows = settings("train", "tiny", "steps=5")
    assert rows["steps"] | {"meaning": ""} == {
        "key": "steps", "value": 5, "from": "command line", "meaning": "", "allowed": "a whole number of 1 or more",
        "group": "The run as a whole.",
    }  # fmt: skip
    lines = (ROOT / "train_codec/recipes/tiny.yaml").read_text().splitlines()
    assert lines[rows["batch"]["line"] - 1] == "batch: 4"  # type: ignore[operator]
    assert (rows["batch"]["file"], rows["seed"]["from"]) == ("tiny.yaml", "default")
    rows = settings(*stages, "stages.0.steps=9")
    assert [rows[f"stages.0.{k}"]["value"] for k in ("steps", "learning_rate")] == [9, 0.001]
    assert (rows["stages.0.learning_rate"]["line"], rows["stages.0.steps"]["from"]) == (3, "command line")
    rows = settings("bench", "run", "mini", "--seeds", "1")
    assert (rows["tasks.0.seeds"]["value"], rows["tasks.0.seeds"]["from"]) == ([0], "command line")
    lines = (ROOT / "benchmarks/suites/mini.yaml").read_text().splitlines()
    assert lines[rows["tasks.3.budget.steps"]["line"] - 1].strip() == "budget: {steps: 300, sweep_steps: 60}"  # type: ignore[operator]
    assert lines[rows["tasks.3.budget.batch"]["line"] - 1].startswith("budget: {steps: 150, batch: 16")  # type: ignore[operator]
    assert settings("units", "fit", "hubert-base", "k=[5,6]")["k"]["value"] == [5, 6]


def test_refusals_end_with_status_2_in_one_line(stages: list[str]) -> None:
    for arguments, words in (
        (["train", "tiny", "lerning_rate=1", "--explain"], "did you mean learning_rate?"),
        (["units", "fit", "hubert-base", "layers=1", "--explain"], "did you mean layer?"),
        ([*stages, "btach=1", "--explain"], "did you mean batch?"),
        (["bench", "run", "minni", "--explain"], "did you mean mini?"),
        (["units", "fit", "hubert-base"], "Missing option -o"),
        (stages, "Missing option -o"),
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert words in result.stderr


def test_help_needs_neither_torch_nor_pydantic() -> None:
    code = (
        "import sys\nfrom codectok.cli.main import main\n"
        "for command in ([], ['train'], ['units', 'fit'], ['llm', 'train'], ['encode']):\n"
        "    try: main([*command, '--help'])\n    except SystemExit as end: assert end.code == 0\n"
        "print([m for m in ('torch', 'pydantic', 'yaml') if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stderr.strip() == "[]"

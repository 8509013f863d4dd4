"""`codectok bench`: list, run, exit status, one-line errors."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from click.testing import CliRunner

from benchmarks.cli import bench
from benchmarks.cli.list_names import KINDS
from tests.benchmarks import fakes
from tests.benchmarks.test_runner import data  # noqa: F401 - a fixture

SUITE = """
name: s
inputs: [logmel@50, random@k2]
seeds: 1
budget: {steps: 1}
shuffled: []
tasks:
  - {task: fake, dataset: fake, options: OPTIONS}
"""


@pytest.fixture
def reported(monkeypatch):
    """A stand-in for the report, which other tests are about; the folders it was asked for."""
    calls = []
    fake = ModuleType("benchmarks.report")
    fake.write_report = lambda results, out: calls.append((results, out))
    fake.compare = lambda a, b: [{"cell": "x", "difference": 1.0}]
    monkeypatch.setitem(sys.modules, "benchmarks.report", fake)
    return calls


def call(*args: object):
    return CliRunner().invoke(bench, [str(a) for a in args])


@pytest.mark.parametrize("what", KINDS)
def test_lists(what):
    result = call("list", what)
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 3


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ("{}", 0, "accuracy"),
        ("{fail: logmel@50}", 1, "1 cells failed: RuntimeError: planted failure"),
        ("{nc: logmel@50}", 0, "1 cells not computed: needs a package"),
    ],
)
def test_run_prints_a_table_writes_the_report_and_says_what_failed(data, tmp_path, reported, options, status, words):  # noqa: F811
    (tmp_path / "s.yaml").write_text(SUITE.replace("OPTIONS", options))
    out = tmp_path / "out"
    result = call("run", tmp_path / "s.yaml", "-o", out, "--jobs", 0, "--cache", tmp_path / "cache")
    assert result.exit_code == status, result.output
    assert words in result.output
    assert f"Results: {out / 'results.jsonl'}" in result.output
    assert reported == [(out, out / "report")]


def test_all_failed_is_status_2_and_a_dry_run_writes_nothing(data, tmp_path, reported):  # noqa: F811
    (tmp_path / "s.yaml").write_text(SUITE.replace("OPTIONS", "{fail: logmel@50}"))
    args = ("run", tmp_path / "s.yaml", "-o", tmp_path / "out", "--jobs", 0, "--cache", tmp_path / "cache")
    result = call(*args, "--dry-run")
    assert (result.exit_code, "2 cells; about" in result.output) == (0, True)
    assert not (tmp_path / "out").exists()
    assert call(*args, "--only", "/logmel@50").exit_code == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run", "minni"], "no suite 'minni'"),
        (["run", "mini", "--data", "x"], "write --data NAME=DIR"),
        (["run", "mini", "--folder", "x=/nowhere"], "/nowhere is not a folder"),
        (["run", "mini-quick", "--only", "sing"], "--only sing chooses nothing"),
        (["run", "mini", "--judge", "nowhere"], "--judge nowhere is no folder"),
        (["run", "mini", "--folder", "whispr=/"], "--folder whispr: suite mini asks for whisper"),
        (["report", "/nowhere", "-o", "x"], "does not exist"),
    ],
)
def test_errors_are_one_line(args, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*args)
    assert result.exit_code == 2
    assert words in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_report_lies_beside_its_results(reported, tmp_path):
    (tmp_path / "results.jsonl").touch()
    for given in (tmp_path, tmp_path / "results.jsonl"):
        assert call("report", given).exit_code == 0
        assert reported.pop() == (given, tmp_path / "report")


def test_compare_prints_what_differs(reported, tmp_path):
    result = call("compare", tmp_path, tmp_path)
    assert "difference" in result.output


def test_fakes_are_gone():
    from benchmarks.tasks import task_names

    assert fakes.FakeTask.name not in task_names()

"""What is damaged costs the cells that need it, and no others; what the suite says wrongly is told before the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.cli.list_names import _metrics
from benchmarks.contract import Dataset
from benchmarks.inputs import open_input
from benchmarks.runner import plan, run_suite
from benchmarks.runner.headline import headline
from benchmarks.tasks import get_task, task_names
from benchmarks.tasks.sound import SoundOptions
from codectok.errors import FormatError, MissingPackageError, UnknownTokenizerError
from codectok.metrics import MetricError, get_metric, metric_names
from tests.benchmarks import fakes
from tests.benchmarks.generative_toys import run, write_clips
from tests.benchmarks.test_bench_cli import SUITE, call
from tests.benchmarks.test_runner import data, suite  # noqa: F401 - a fixture

BROKEN = [
    (FormatError("model.safetensors is damaged: copy it again"), "failed", "model.safetensors is damaged"),
    (RuntimeError("weights\nof another size"), "failed", "RuntimeError: weights of another size"),
    (MissingPackageError("it needs a package: pip install package"), "nc", "pip install package"),
]


def refusing(error: Exception, what: str) -> Any:
    def opened(spec: str, **options: Any) -> Any:
        if spec == what:
            raise error
        return open_input(spec, **options)

    return opened


@pytest.mark.parametrize(("error", "status", "words"), BROKEN)
def test_an_input_that_cannot_be_opened_costs_its_cells(data, tmp_path, monkeypatch, error, status, words):  # noqa: F811
    monkeypatch.setattr(plan, "open_input", refusing(error, "random@k2"))
    summary = run_suite(suite(seeds=(0,), shuffled=()), tmp_path / "out", jobs=0, cache=tmp_path / "cache")
    good, bad = summary.rows
    assert (good["status"], bad["status"]) == ("done", status)
    assert words in bad["reason"]
    assert headline([bad])[0]["mean"] == {"failed": "failed", "nc": "N.C."}[status]
    # Mended, the same command runs what is missing.
    monkeypatch.setattr(plan, "open_input", open_input)
    again = run_suite(suite(seeds=(0,), shuffled=()), tmp_path / "out", jobs=0, cache=tmp_path / "cache")
    assert [r["status"] for r in again.rows] == ["done", "done"]


@pytest.mark.parametrize(("error", "status", "words"), BROKEN)
def test_data_that_cannot_be_opened_costs_its_cells(data, tmp_path, monkeypatch, error, status, words):  # noqa: F811
    real = plan.the_dataset

    def opened(name: str, root: str | None) -> Dataset:
        if name == "fake-untrained":
            raise error
        return real(name, root)

    monkeypatch.setattr(plan, "the_dataset", opened)
    both = (
        suite(seeds=(0,), shuffled=()).tasks[0],
        suite(task="fake-untrained", dataset="fake-untrained", probes=(), shuffled=()).tasks[0],
    )
    whole = type(suite())("s", both)
    rows = run_suite(whole, tmp_path / "out", jobs=0, cache=tmp_path / "cache").rows
    assert [r["status"] for r in rows[:2]] == ["done", "done"]
    assert {r["status"] for r in rows[2:]} == {status}
    assert all(words in r["reason"] for r in rows[2:])


def test_a_suite_with_a_damaged_input_ends_with_status_1_and_a_report(data, tmp_path: Path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(plan, "open_input", refusing(BROKEN[0][0], "random@k2"))
    (tmp_path / "s.yaml").write_text(SUITE.replace("OPTIONS", "{}"))
    out = tmp_path / "out"
    result = call("run", tmp_path / "s.yaml", "-o", out, "--workers", 0, "--cache", tmp_path / "cache")
    assert result.exit_code == 1, result.output
    assert "1 cells failed: model.safetensors is damaged: copy it again" in result.output
    assert "model.safetensors is damaged" in (out / "report" / "report.md").read_text()


def test_a_slip_in_a_suite_is_told_before_anything_runs(data, tmp_path):  # noqa: F811
    with pytest.raises(UnknownTokenizerError):
        run_suite(
            suite(inputs=("logmel@50", "speeech"), shuffled=()), tmp_path / "out", jobs=0, cache=tmp_path / "cache"
        )
    assert not (tmp_path / "out" / "results.jsonl").exists()


def test_metrics_that_are_listed_are_computed(tmp_path, monkeypatch):
    """Those of one clip by a task of sound that is asked for them all; the others are of tasks that name them."""
    for name in ("fake", "fake-generative", "fake-untrained"):
        assert name not in task_names(), fakes.SETUP
    listed = {row["metric"]: row["tasks"].split() for row in _metrics()}
    by_clip = [name for name in metric_names() if get_metric(name).kind in ("pair", "reference-free")]
    clips = write_clips(tmp_path)
    toy = Dataset("toy", "resynthesis", (), (), {"test": tuple(clips[:1])}, ())
    found = run("resynthesis", toy, open_input("pcm"), metrics=(*by_clip, "dwer", "dcer"))
    said = {s.metric for s in found.scores if s.value is not None or found.notes.get(s.metric, "").startswith("N.C.")}
    assert set(by_clip) | {"bitrate", "entropy_bitrate", "rtf"} <= said
    # What other tasks say that they compute is what their outcomes have: see test_tasks.py.
    others = {m for name in task_names() for m in get_task(name).metrics}
    assert set(listed) == said | others
    assert not {"abx", "pnmi", "parameters", "macs", "token_rate"} & set(listed)
    assert set(listed["pesq"]) >= {"resynthesis", "se"}


def test_what_is_no_score_of_a_clip_is_refused_where_it_is_asked_for():
    assert SoundOptions(("pesq", "dwer")).metrics == ("pesq", "dwer")
    for name in ("abx", "wer", "parameters"):
        with pytest.raises(MetricError, match=f"{name} is no score of a clip"):
            SoundOptions((name,))

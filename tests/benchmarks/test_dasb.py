"""Every task and probe of the suite dasb, by name, end to end by the runner on tiny trees in the real layouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.contract import Budget
from benchmarks.runner import Suite, read_suite, run_suite
from benchmarks.runner.suite import SuiteEntry
from benchmarks.tasks import get_task

CELLS = [(entry, probe) for entry in read_suite("dasb").tasks for probe in entry.probes]
INPUTS = ("speech@k2", "speech:features")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokens of one tree serve both of its probes."""
    return tmp_path_factory.mktemp("cache")


def tiny(entry: SuiteEntry, probe: str) -> SuiteEntry:
    """The same task, data and probe, on two inputs, with the smallest budget and network."""
    generative = get_task(entry.task).generative
    options = (
        {"dim": 16, "metrics": ["distillmos" if entry.task == "tts" else "mel"]}
        if generative
        else {"dim": 16, "width": 16}
    )
    kept = {k: v for k, v in entry.options.items() if k == "skip"}
    budget = Budget(steps=2, batch=2, rates=(1e-3, 1e-4), sweep_steps=1)
    return replace(entry, inputs=INPUTS, probes=(probe,), budget=budget, seeds=(0,), options={**options, **kept})


@pytest.mark.slow
@pytest.mark.parametrize(("entry", "probe"), CELLS, ids=[f"{e.task}-{e.dataset}-{p}" for e, p in CELLS])
def test_every_task_and_probe_runs_on_its_layout(
    entry: SuiteEntry, probe: str, built: Callable[[str], Path], cache: Path, tmp_path: Path
) -> None:
    suite = Suite("dasb", (tiny(entry, probe),))
    rows = run_suite(suite, tmp_path, jobs=0, data={entry.dataset: str(built(entry.dataset))}, cache=cache).rows
    assert [(r["task"], r["dataset"], r["probe"], r["input"]["spec"]) for r in rows] == [
        (entry.task, entry.dataset, probe, spec) for spec in INPUTS
    ]
    for row in rows:
        assert (row["status"], row["reason"]) == ("done", "")
        assert 1 <= row["steps"] <= 2
        assert set(row["data"]["tests"]) == {s["test"] for s in row["scores"]}
        for score in row["scores"]:
            if row["notes"].get(score["metric"], "").startswith("N.C."):
                continue  # the package is not installed here
            assert score["n"] > 0
            assert score["value"] is not None

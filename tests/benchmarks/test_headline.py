"""The table of a run: a mean is over seeds alone, never over rows of different settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.report.aggregate import group_rows
from benchmarks.runner.headline import headline
from benchmarks.runner.results import read_rows

RESULTS = Path(__file__).parents[2] / "benchmarks/results/mini"


def row(value: float | None, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A row of the results that ship, with another value and seed, and ``changes`` to it or its input."""
    made = next(r for r in read_rows(RESULTS) if r["task"] == "si" and r["status"] == "done" and not r["floor"])
    made["seed"], made["scores"] = seed, [{**made["scores"][0], "value": value}]
    made["input"] |= {k: changes.pop(k) for k in list(changes) if k in made["input"]}
    return {**made, **changes}


def test_seeds_are_averaged() -> None:
    [line] = headline([row(10.0, 0), row(20.0, 1), row(None, 2)])
    assert (line["mean"], line["over seeds"], line["seeds"]) == ("15.00", "10.00 to 20.00", 2)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"options": {"layer": 3}}, {"options": {"layer": 9}}, "layer=9"),
        ({"options": {}}, {"options": {"probe": {"dim": 8}}}, "probe.dim=8"),
        ({"options": {"probe": {"dim": 8}}}, {"options": {}}, "no probe.dim"),
        ({"budget": {"steps": 10}}, {"budget": {"steps": 20}}, "steps=20"),
        ({"spec": "a@1"}, {"spec": "a@2"}, "input=a@2"),
        ({"fingerprint": "0" * 32}, {"fingerprint": "1" * 32}, "fingerprint=11111111"),
        ({"dataset": "x"}, {"dataset": "y"}, "dataset=y"),
    ],
)
def test_different_settings_are_not_averaged_as_seeds(one: dict[str, Any], other: dict[str, Any], words: str) -> None:
    # The second setting lacks the first seed: nothing but the setting tells them apart.
    rows = [row(10.0, 0, **one), row(30.0, 1, **other), row(50.0, 2, **other)]
    lines = headline(rows)
    assert [(line["mean"], line["seeds"]) for line in lines] == [("10.00", 1), ("40.00", 2)]
    assert lines[0]["input"] != lines[1]["input"]
    assert f"({words})" in lines[1]["input"]


@pytest.mark.parametrize("key", ["options", "budget"])
def test_reports_do_not_average_them_either(key: str) -> None:
    rows = [row(10.0, 0, **{key: {"x": 1}}), row(30.0, 1, **{key: {"x": 2}}), row(50.0, 2, **{key: {"x": 2}})]
    groups = group_rows(rows)
    assert [len(g.rows) for g in groups] == [1, 2]
    assert groups[0].system.label != groups[1].system.label


def test_the_results_that_ship_have_a_line_for_each_setting() -> None:
    rows = read_rows(RESULTS)
    lines = headline(rows)
    names = [(line["task"], line["input"], line["probe"]) for line in lines]
    assert len(set(names)) == len(names)
    assert sum(line["seeds"] for line in lines) == sum(
        r["status"] == "done" and bool(r["scores"]) and r["scores"][0]["value"] is not None for r in rows
    )

"""The committed results of ``mini`` are in their right mind: floors at chance, something above it, quality in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.runner.results import Row, read_rows
from codectok.metrics import get_metric

RESULTS = Path(__file__).parents[2] / "benchmarks/results/mini"


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    if not RESULTS.is_dir():
        pytest.skip("no results of mini are committed")
    return read_rows(RESULTS)


def means(rows: list[Row], task: str, metric: str) -> dict[tuple[str, str, str], float]:
    """{(input as written, floor, probe): mean over seeds}."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if row["task"] == task:
            values = [s["value"] for s in row["scores"] if s["metric"] == metric and s["value"] is not None]
            found.setdefault((row["input"]["spec"], row["floor"] or "", row["probe"]), []).extend(values)
    return {key: sum(values) / len(values) for key, values in found.items() if values}


@pytest.mark.parametrize(("task", "metric"), [("si", "accuracy"), ("sv", "eer"), ("lid", "accuracy"), ("asr", "wer")])
def test_floors_are_at_chance_and_something_is_better(rows: list[Row], task: str, metric: str) -> None:
    low, high = next(r["chance"][metric] for r in rows if r["task"] == task and metric in r["chance"])
    found = means(rows, task, metric)
    floors = {key: value for key, value in found.items() if key[1] or key[0].startswith("random")}
    assert floors
    assert {key: value for key, value in floors.items() if not low <= value <= high} == {}
    others = [value for key, value in found.items() if key not in floors]
    assert max(others) > high if get_metric(metric).higher_is_better else min(others) < low


@pytest.mark.parametrize("metric", ["pesq", "stoi", "estoi", "mel"])
def test_the_original_is_best_then_pcm_then_codecs_then_random(rows: list[Row], metric: str) -> None:
    sign = 1 if get_metric(metric).higher_is_better else -1
    found = {key[0]: sign * value for key, value in means(rows, "resynthesis", metric).items()}
    codecs = [value for spec, value in found.items() if spec.startswith(("speech", "units"))]
    assert codecs
    assert found["original"] >= found["pcm"] >= max(codecs)
    # The voice made of units keeps neither pitch nor speaker: for PESQ that is as bad as noise, within its interval.
    assert min(codecs) >= found["random@1.5"] - (0.05 if metric == "pesq" else 0.0)


def test_nothing_failed_and_every_row_says_what_it_is_of(rows: list[Row]) -> None:
    assert [(r["input"]["spec"], r["reason"]) for r in rows if r["status"] == "failed"] == []
    seeds = {(r["task"], r["input"]["spec"], r["floor"], r["probe"]): set() for r in rows if r["steps"]}
    for row in rows:
        assert row["status"] == "done" or row["reason"]
        if row["status"] == "done" and row["steps"]:
            seeds[row["task"], row["input"]["spec"], row["floor"], row["probe"]].add(row["seed"])
            assert row["provenance"]["version"]
            assert row["data"]["sha256"]
            assert row["cost"]["wall_seconds"] > 0
            assert row["cost"]["peak_rss_mb"] > 0
    assert {len(found) for found in seeds.values()} == {3}

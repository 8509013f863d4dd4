"""Scores of single clips, as a cell left them: for intervals over clips and for paired tests."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from codectok.metrics import Metric, get_metric
from codectok.metrics.bootstrap import Interval, bootstrap_mean, bootstrap_ratio

Items = Mapping[str, tuple[float, float]]
"""{clip: (value, weight)} of one metric on one test set."""


def metric_of(name: str) -> Metric:
    """Of the registry; one that is not in it (a later version's) is shown under its own name."""
    try:
        return get_metric(name)
    except ValueError:
        return Metric(name, name, None, "", True, "not known to this version", kind="system")


def read_items(folder: Path, cell: str) -> dict[tuple[str, str], Items]:
    """{(test, metric): items} of a cell; {} where it left none."""
    path = folder / "items" / f"{cell}.jsonl"
    found: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            found.setdefault((item["test"], item["metric"]), {})[item["clip"]] = (item["value"], item["weight"])
    return dict(found)


def figure_of(items: Items) -> float:
    """Sum of values over sum of weights; NaN where the weights sum to 0."""
    weight = math.fsum(w for _, w in items.values())
    return math.fsum(v for v, _ in items.values()) / weight if weight else math.nan


def scale_of(items: Items, value: float, metric: str) -> float | None:
    """What turns the ratio of the items into the score: 1, or 100 for one in %; None where they do not make it up."""
    ratio = figure_of(items)
    # A score of 0 fits both: the metric's unit says which.
    scales = (100.0, 1.0) if metric_of(metric).unit == "%" else (1.0, 100.0)
    return next((s for s in scales if math.isclose(ratio * s, value, rel_tol=1e-6, abs_tol=1e-9)), None)


def interval_over_clips(items: Items, value: float, metric: str) -> Interval | None:
    """Bootstrap interval of a score over its clips; None where the items do not make it up, or for one clip."""
    scale = scale_of(items, value, metric)
    if scale is None or len(items) < 2:
        return None
    values, weights = zip(*items.values(), strict=True)
    found = bootstrap_mean(values) if is_mean(items) else bootstrap_ratio(values, weights)
    if found.low is None or found.high is None:
        return None
    return Interval(scale * found.mean, scale * found.low, scale * found.high, found.n)


def is_mean(items: Items) -> bool:
    """Whether every clip weighs 1: a mean over clips, and not a corpus-level rate."""
    return all(weight == 1.0 for _, weight in items.values())


def over_seeds(many: Sequence[Items], clips: Sequence[str]) -> np.ndarray:
    """Value and weight of each clip, means over seeds [n, 2]."""
    return np.array([[items[c] for c in clips] for items in many], dtype=np.float64).mean(0)


def shared_clips(many: Sequence[Items]) -> list[str]:
    """Clips that all have, in the order of the first."""
    return [c for c in many[0] if all(c in items for items in many)] if many else []

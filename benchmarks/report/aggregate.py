"""Rows to figures: one mean over seeds, with its interval, for each system, task, probe, metric and test set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..runner.results import Row
from .items import Items, interval_over_clips, read_items
from .stats import t_interval
from .systems import System, system_of


@dataclass(frozen=True)
class Group:
    """The cells of one system in one setting: alike but for their seeds.

    Attributes:
        task, dataset, probe: as the rows have them.
        system: what the probe was fed with.
        place: (table, row, column) of a table of a study that the rows are for; empty for other rows.
        rows: one a seed.
    """

    task: str
    dataset: str
    probe: str
    system: System
    place: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def done(self) -> tuple[Row, ...]:
        """Those with scores."""
        return tuple(r for r in self.rows if r["status"] == "done")

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why others have none."""
        words = {"failed": "failed", "nc": "not computed"}
        found = [f"{words[r['status']]}: {r['reason'] or 'no reason given'}" for r in self.rows if r["status"] in words]
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Figure:
    """One figure of a group.

    Attributes:
        group: whose.
        metric, test: which; "" where no row has a score.
        mean, low, high: over seeds, or over clips; None where there is none.
        over: "seeds" (Student's t), "clips" (bootstrap) or "" (no interval).
        values: one a seed.
        n: clips behind each seed's value, the fewest of the seeds.
        failures: clips that could not be scored, the most of the seeds.
        missing: "N.C.", "failed" or "".
        reasons: why it, or some of its seeds, are missing.
        items: of each seed, where the metric is a sum over clips.
    """

    group: Group
    metric: str
    test: str
    mean: float | None
    low: float | None = None
    high: float | None = None
    over: str = ""
    values: tuple[float, ...] = ()
    n: int = 0
    failures: int = 0
    missing: str = ""
    reasons: tuple[str, ...] = ()
    items: tuple[Items, ...] = field(default=(), repr=False)

    @property
    def half_width(self) -> float | None:
        """The number behind the ±."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def chance(self) -> tuple[float, float] | None:
        """Where guesses lie, by the rows."""
        return chance_of(self.group.rows, self.metric)


def chance_of(rows: Iterable[Row], metric: str) -> tuple[float, float] | None:
    """The widest interval of guesses that rows name for a metric."""
    pairs = [r["chance"][metric] for r in rows if metric in r["chance"] and None not in r["chance"][metric]]
    return (min(p[0] for p in pairs), max(p[1] for p in pairs)) if pairs else None


def group_rows(rows: Sequence[Row]) -> list[Group]:
    """Rows that differ in their seeds alone, put together, in the order in which they first come.

    Rows of one seed and different budgets or options stay apart, numbered in their labels: they are never averaged.
    """
    found: dict[tuple[str, ...], list[Row]] = {}
    specs: dict[str, set[str]] = {}
    for row in rows:
        system, notes = system_of(row), row.get("notes", {})
        specs.setdefault(system.label, set()).add(system.spec)
        place = tuple(str(notes[k]) for k in ("table", "row", "column")) if "table" in notes else ()
        budget = json.dumps(row.get("budget", {}), sort_keys=True)
        options = json.dumps(row.get("options", {}), sort_keys=True)
        key = (row["task"], row["dataset"], row["probe"], system.spec, system.floor, budget, options, *place)
        found.setdefault(key, []).append(row)
    out: list[Group] = []
    used: dict[tuple[str, ...], int] = {}
    for key, many in found.items():
        apart: list[list[Row]] = []
        for row in many:
            free = next((part for part in apart if row["seed"] not in [r["seed"] for r in part]), None)
            if free is None:
                apart.append([row])
            else:
                free.append(row)
        for part in apart:
            name = (*key[:5], *key[7:])
            used[name] = used.get(name, 0) + 1
            system = system_of(part[0], used[name])
            if len(specs[system_of(part[0]).label]) > 1:
                system = replace(system, label=f"{system.label} [{system.spec}]")
            out.append(Group(key[0], key[1], key[2], system, key[7:], tuple(part)))
    return out


def figures_of(group: Group, folder: Path) -> list[Figure]:
    """Every metric and test set of a group; one figure without a metric where no row has scores."""
    names = dict.fromkeys((s["metric"], s["test"]) for r in group.done for s in r["scores"])
    if not names:
        status = "failed" if any(r["status"] == "failed" for r in group.rows) else "N.C."
        return [Figure(group, "", "", None, missing=status, reasons=group.reasons or ("no scores",))]
    items = [read_items(folder, r["cell"]) for r in group.done]
    return [_figure(group, metric, test, items) for metric, test in names]


def _figure(group: Group, metric: str, test: str, items: Sequence[Mapping[tuple[str, str], Items]]) -> Figure:
    values: list[float] = []
    counts: list[int] = []
    failures: list[int] = []
    kept: list[Items] = []
    reasons = list(group.reasons)
    for row, clips in zip(group.done, items, strict=True):
        score = next((s for s in row["scores"] if (s["metric"], s["test"]) == (metric, test)), None)
        if score is not None:
            failures.append(score["failures"])
        if score is None or score["value"] is None:
            nothing = "none of the clips could be scored" if score and score["failures"] else "not computed"
            reasons.append(row.get("notes", {}).get(metric) or nothing)
            continue
        values.append(score["value"])
        counts.append(score["n"])
        if (test, metric) in clips:
            kept.append(clips[test, metric])
    failed, why = max(failures, default=0), tuple(dict.fromkeys(reasons))
    if not values:
        status = "failed" if failed else "N.C."
        return Figure(group, metric, test, None, failures=failed, missing=status, reasons=why)
    interval, over = t_interval(values), "seeds" if len(values) > 1 else ""
    all_items = tuple(kept) if len(kept) == len(values) else ()
    if not over and all_items and (by_clips := interval_over_clips(all_items[0], values[0], metric)):
        interval, over = by_clips, "clips"
    mean, low, high = sum(values) / len(values), interval.low, interval.high
    return Figure(
        group, metric, test, mean, low, high, over, tuple(values), min(counts), failed, "", why, all_items
    )  # fmt: skip

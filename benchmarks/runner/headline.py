"""The table that a run ends with: the first figure of every task, probe and input over its seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .results import Row

Name = tuple[str, str, str, str]
"""Task, input, probe and floor, as a line shows them."""


def headline(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a task, input, probe, floor and setting: mean over seeds of the first score, and its range.

    Rows that differ in anything but their seeds are never averaged. Where lines would look alike, the input says what
    they differ in. Cells without a score keep their line: "N.C." where they could not be computed, "failed" where they
    failed.
    """
    groups: dict[tuple[Name, str], list[Row]] = {}
    for row in rows:
        name = (row["task"], row["input"]["label"], row["probe"], row["floor"] or "")
        groups.setdefault((name, json.dumps(_settings(row), sort_keys=True)), []).append(row)
    alike: dict[Name, list[dict[str, str]]] = {}
    for (name, _), found in groups.items():
        alike.setdefault(name, []).append(_settings(found[0]))
    table = []
    for (name, _), found in groups.items():
        task, label, probe, floor = name
        words = [floor, *_differing(_settings(found[0]), alike[name])]
        done = [r for r in found if r["status"] == "done" and r["scores"] and r["scores"][0]["value"] is not None]
        values = [r["scores"][0]["value"] for r in done]
        missing = "failed" if any(r["status"] == "failed" for r in found) else "N.C."
        first = done[0]["scores"][0] if done else {"metric": "", "test": ""}
        table.append(
            {
                "task": task,
                "input": label + "".join(f" ({w})" for w in words if w),
                "probe": probe or "-",
                "metric": first["metric"] + ("" if first["test"] in ("", "test") else f" {first['test']}"),
                "mean": f"{sum(values) / len(values):.2f}" if values else missing,
                "over seeds": f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else "-",
                "seeds": len(values),
            }
        )
    return table


def _settings(row: Row) -> dict[str, str]:
    """Everything that was set for a row but its seed, by dotted names."""
    made = row["input"]
    given = {"dataset": row["dataset"], "input": made["spec"], "fingerprint": (made.get("fingerprint") or "")[:8]}
    return dict(_flat("", {**given, **row.get("budget", {}), **row.get("options", {})}))


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield prefix + key, value if isinstance(value, str) else json.dumps(value, default=str)


def _differing(mine: Mapping[str, str], all_of_name: Sequence[Mapping[str, str]]) -> list[str]:
    keys = [
        k for k in dict.fromkeys(k for one in all_of_name for k in one) if len({one.get(k) for one in all_of_name}) > 1
    ]
    return [f"{key}={mine[key]}" if key in mine else f"no {key}" for key in keys]

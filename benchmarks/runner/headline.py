"""The table that a run ends with: the first figure of every task, probe and input over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .results import Row


def headline(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line a task, data set, input, probe and floor: mean over seeds of the first score, and its range.

    Cells without a score keep their line: "N.C." where they could not be computed, "failed" where they failed.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        key = (row["task"], row["dataset"], row["input"]["label"], row["probe"], row["floor"] or "")
        groups.setdefault(key, []).append(row)
    table = []
    for (task, _, label, probe, floor), found in groups.items():
        done = [r for r in found if r["status"] == "done" and r["scores"] and r["scores"][0]["value"] is not None]
        values = [r["scores"][0]["value"] for r in done]
        missing = "failed" if any(r["status"] == "failed" for r in found) else "N.C."
        first = done[0]["scores"][0] if done else {"metric": "", "test": ""}
        table.append(
            {
                "task": task,
                "input": label + (f" ({floor})" if floor else ""),
                "probe": probe or "-",
                "metric": first["metric"] + ("" if first["test"] in ("", "test") else f" {first['test']}"),
                "mean": f"{sum(values) / len(values):.2f}" if values else missing,
                "over seeds": f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else "-",
                "seeds": len(values),
            }
        )
    return table

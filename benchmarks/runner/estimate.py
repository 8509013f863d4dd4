"""How long a suite will take, roughly, before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from .cells import BenchmarkCell
from .results import Row

UPDATE_SECONDS: Mapping[str, float] = {"linear": 0.02, "xvector": 0.06, "ecapa": 0.25, "bilstm": 0.3, "contextnet": 0.4}
"""Of an update on 16 clips of 3 s, one thread of a server CPU, by probe; others as the slowest."""
START_SECONDS = 5.0


def estimate(cells: Sequence[BenchmarkCell], rows: Sequence[Row], jobs: int) -> float:
    """Seconds that some cells will take.

    Cells of a kind (task, data set, probe) that rows tell of take as long as those did; of others the updates count.
    """
    known: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if row["status"] == "done":
            key = (row["task"], row["dataset"], row["probe"])
            known.setdefault(key, []).append(row["cost"]["wall_seconds"])
    total = 0.0
    for cell in cells:
        if cell.reason:
            continue
        found = known.get((cell.entry.task, cell.entry.dataset, cell.probe))
        budget = cell.entry.budget
        updates = budget.steps + (budget.sweep_steps * len(budget.rates) if len(budget.rates) > 1 else 0)
        each = UPDATE_SECONDS.get(cell.probe, max(UPDATE_SECONDS.values())) * budget.batch / 16
        total += mean(found) if found else 2.0 + updates * each
    return START_SECONDS + total / max(1, min(jobs, len(cells)))


def words(seconds: float) -> str:
    """ "about 4 minutes"."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} seconds"
    return f"about {round(seconds / 60)} minutes" if seconds < 5400 else f"about {seconds / 3600:.1f} hours"

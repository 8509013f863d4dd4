"""Which clips a benchmark hears."""

from __future__ import annotations

from pathlib import Path

from benchmarks.quality import listed


def choose(splits: Path, use: str, limit: int | None = None) -> list[str]:
    """Paths of the clips that ``splits`` (columns path and use) marks with ``use``: all, or ``limit`` spread evenly."""
    paths = listed(splits, use)
    if limit is None or limit >= len(paths):
        return paths
    return [paths[i * len(paths) // limit] for i in range(limit)]

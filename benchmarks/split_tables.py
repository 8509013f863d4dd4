"""Which clips a benchmark hears: a table of splits, tab-separated, with the columns path and use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from codectok.items.tables import table_rows


def read_splits(splits: Path) -> list[dict[str, str]]:
    """The rows of a table of splits.

    Raises:
        FormatError: a column is missing.
    """
    return [row for _, row in table_rows(splits, ("path", "use"))]


def speakers(splits: Path, paths: Sequence[str]) -> list[str]:
    """Who speaks each of the clips at ``paths``; where the table has no column speaker, each clip is one of its own."""
    rows = {row["path"]: row for row in read_splits(splits)}
    return [rows.get(path, {}).get("speaker") or path for path in paths]


def choose(splits: Path, use: str, limit: int | None = None) -> list[str]:
    """Paths of the clips that ``splits`` marks with ``use``: all, or ``limit`` of them spread evenly."""
    paths = [r["path"] for r in read_splits(splits) if r["use"] == use]
    if limit is None or limit >= len(paths):
        return paths
    return [paths[i * len(paths) // limit] for i in range(limit)]

"""Reading a run's ``log.jsonl``, which may have been cut off, and may hold steps twice after a resume."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codectok.errors import FormatError

NOT_LOSSES = re.compile(r"step|steps_per_second|x_real_time|seconds|lr|learning_rate|lr_.*|grad.*|revived|epoch")
"""Columns of a training row that are not loss terms."""


@dataclass
class Log:
    """Rows of a run in ascending order of their steps: ``train`` with losses, ``val`` with scores."""

    train: list[dict[str, Any]]
    val: list[dict[str, Any]]

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of one training column, float [N] each, over the rows that have it."""
        return _column([(r["step"], r.get(name)) for r in self.train])

    def score(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of one validation score."""
        return _column([(r["step"], r["val"].get(name)) for r in self.val])

    def losses(self) -> list[str]:
        """Names of the loss terms, in their order of appearance."""
        names = dict.fromkeys(k for row in self.train for k, v in row.items() if _is_number(v))
        return [n for n in names if not NOT_LOSSES.fullmatch(n)]

    def health(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps [N] and values [N, K] of one entry of the rows' ``health``; levels that a row lacks are NaN."""
        rows = [(r["step"], r["health"].get(name)) for r in self.train if isinstance(r.get("health"), dict)]
        rows = [(step, values) for step, values in rows if isinstance(values, list) and values]
        levels = max((len(values) for _, values in rows), default=0)
        table = np.full((len(rows), levels), np.nan)
        for out, (_, values) in zip(table, rows, strict=True):
            out[: len(values)] = [v if _is_number(v) else np.nan for v in values]
        return np.array([step for step, _ in rows], dtype=float), table


def read_log(run: Path) -> Log:
    """Read ``log.jsonl`` of a run folder. Damaged lines (a killed run's last) are left out.

    Where a resumed run repeats steps, what came before the resume from that step on no longer counts.

    Raises:
        FormatError: there is no log, or it holds no row.
    """
    path = run / "log.jsonl" if run.is_dir() else run
    if not path.is_file():
        raise FormatError(f"{run} is not a run: give the folder that holds log.jsonl (out= of the recipe)", path=run)
    train: list[dict[str, Any]] = []
    val: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            continue
        rows = val if isinstance(row.get("val"), dict) else train
        while rows and rows[-1]["step"] >= row["step"]:
            rows.pop()
        rows.append(row)
    if not train and not val:
        raise FormatError(f"{path} holds no row yet: train for a while first", path=path)
    return Log(train, val)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _column(rows: list[tuple[int, Any]]) -> tuple[np.ndarray, np.ndarray]:
    kept = [(step, value) for step, value in rows if _is_number(value)]
    pairs = np.array(kept, dtype=float).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]

"""The row of a cell, and the files that go with it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from codectok.files.atomic import atomic_path

from ..contract import RATE, InputInfo, Outcome
from .cells import BenchmarkCell
from .provenance import today
from .results import Row


@dataclass(frozen=True)
class Place:
    """Where things are, the same for all cells.

    Attributes:
        out, cache: folders of the results and of the caches.
        data: {name of a data set: its folder}.
        folders: {name: folder} for inputs written with {name}.
        device: where probes and tokenizers run.
        provenance: for every row.
    """

    out: Path
    cache: Path
    data: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    provenance: Mapping[str, Any] = field(default_factory=dict)


def empty_row(cell: BenchmarkCell, place: Place) -> Row:
    """The row of a cell before it has run."""
    entry = cell.entry
    return {
        "suite": cell.suite,
        "task": entry.task,
        "dataset": entry.dataset,
        "input": _info_row(cell),
        "floor": cell.floor or None,
        "probe": cell.probe,
        "seed": cell.seed,
        "status": "done",
        "reason": "",
        "scores": [],
        "chance": {},
        "rate": None,
        "steps": 0,
        "parameters": 0,
        "macs_per_second": None,
        "budget": {**asdict(entry.budget), "rates": list(entry.budget.rates)},
        "options": dict(entry.options),
        "failures": {},
        # Where in a table of its own a cell stands, also when it failed.
        "notes": {k: str(entry.options[k]) for k in ("table", "row", "column") if k in entry.options},
        "audio": {},
        "data": dict(cell.data),
        "cost": {"extract_seconds": 0.0},
        "provenance": {**place.provenance, "date": today()},
        "cell": cell.id,
    }


def _info_row(cell: BenchmarkCell) -> Row:
    info = cell.info
    if info is None:
        # The same keys as those of an open input.
        unknown = InputInfo(
            cell.spec, re.sub(r"[{}]", "", cell.spec), "discrete", "", "", Fraction(0), fitted_on="unknown"
        )
        info = unknown
    rate = info.frame_rate
    return {
        **asdict(info),
        "frame_rate": f"{rate.numerator}/{rate.denominator}",
        "codebook_sizes": list(info.codebook_sizes),
    }


def outcome_row(outcome: Outcome, failures: Mapping[str, str]) -> Row:
    """What a task found, as the row has it; ``failures`` are of the extraction."""
    return {
        "scores": [{**asdict(s), "value": _finite(s.value)} for s in outcome.scores],
        "chance": {k: [_finite(v) for v in pair] for k, pair in outcome.chance.items()},
        "rate": outcome.rate,
        "steps": outcome.steps,
        "parameters": outcome.parameters,
        "macs_per_second": _finite(outcome.macs_per_second),
        "failures": {**outcome.failures, **failures},
        "notes": dict(outcome.notes),
    }


def _finite(value: float | None) -> float | None:
    """JSON has no NaN: a figure that is none is null."""
    return None if value is None or not math.isfinite(value) else float(value)


def write_files(out: Path, cell_id: str, outcome: Outcome, row: Row) -> None:
    """Items and audio of a cell, before its row is written: a row's files are there."""
    from codectok.audio import write_audio

    if outcome.items:
        with atomic_path(out / "items" / f"{cell_id}.jsonl") as temporary:
            lines = (json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in outcome.items)
            temporary.write_text("".join(lines), encoding="utf-8")
    names: dict[str, str] = {}
    for clip, samples in outcome.audio.items():
        name = f"audio/{cell_id}/{re.sub(r'[^A-Za-z0-9_.-]', '_', clip)[:100]}.flac"
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        write_audio(out / name, np.clip(np.asarray(samples, dtype=np.float32), -1, 1), RATE)
        names[clip] = name
    row["audio"] = names

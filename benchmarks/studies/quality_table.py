"""Rows of :mod:`benchmarks.studies.quality` as people read them: in a terminal, or in a model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codectok.metrics import Interval, Spread, get_metric
from codectok.metrics.level import HEADLINE, OCTAVE_METRICS, OCTAVES
from codectok.metrics.summary import words

MEANS = ("pesq", "stoi", "estoi", "mel", "lsd")
METRICS = tuple(dict.fromkeys((*MEANS, *HEADLINE, *OCTAVE_METRICS, "excess_99")))
_OCTAVES = f"octaves {', '.join(str(low) for low, _ in OCTAVES)} to {OCTAVES[-1][1]} Hz (median dB)"


def cells(row: Mapping[str, Any]) -> dict[str, object]:
    """One row as it is shown, by the heads of its columns; "-" where a metric failed on every clip."""
    out: dict[str, object] = {"kbit/s": f"{row['kbit/s']:g}"}
    for metric in map(get_metric, (*MEANS, "level", "worst_octave")):
        out[_head(metric.name)] = _words(metric.name, row[metric.name])
    out[_OCTAVES] = " ".join(f"{row[name][0]:+.1f}" if row[name] else "-" for name in OCTAVE_METRICS)
    for name in ("loud_frames", "excess_99", "clipped"):
        out[_head(name)] = f"{row[name][0]:.{get_metric(name).decimals}f}" if row[name] else "-"
    peak = f"{row['peak'][0]:.0f}" if row["peak"] else "-"
    out[f"{_head('peak')} (originals)"] = f"{peak} ({row['peak of originals']:.0f})"
    out["entropy kbit/s"] = f"{row['entropy kbit/s']:.2f}"
    return out | {"failed": max(row["failed"].values(), default=0)}


def _head(name: str) -> str:
    metric = get_metric(name)
    return f"{metric.label} {metric.unit}".strip()


def _words(name: str, values: Sequence[Any]) -> str:
    if not values:
        return "-"
    return words(name, Spread(*values) if get_metric(name).signed else Interval(*values))


def markdown(rows: Sequence[Mapping[str, object]]) -> str:
    """A table of GitHub's Markdown."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([str(row[name]) for name in head] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

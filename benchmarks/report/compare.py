"""Two results against each other: the same cells, their difference, and a paired test where clips were scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from .aggregate import Figure
from .book import Book
from .items import metric_of
from .paired import Pair, pair_test
from .stats import holm

_Key = tuple[str, ...]


def compare(a: Path, b: Path) -> list[dict[str, Any]]:
    """One line a task, data set, probe, input, floor, metric and test set of either; means over seeds, b minus a.

    ``note`` says what stands in the way of a comparison: only in one of them, other data, other budgets, no score.
    ``p`` is Holm's over all lines that could be tested; None where a metric is no sum over clips or items are missing.

    Raises:
        FormatError: one of them is no results folder.
    """
    books = [Book(Path(path)) for path in (a, b)]
    sides = [{key: f for g in book.groups for f in book.figures[id(g)] for key in [_key(f)]} for book in books]
    # A group without scores has one figure without a metric; it meets the other side's figures of that group.
    bare = [{key[:-2]: f for key, f in side.items() if not f.metric} for side in sides]
    lines: list[dict[str, Any]] = []
    pairs: list[tuple[dict[str, Any], Pair]] = []
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        first, second = (sides[i].get(key) or bare[i].get(key[:-2]) for i in (0, 1))
        if not key[-2] and any(f and f.metric for side in sides for k, f in side.items() if k[:-2] == key[:-2]):
            continue
        line = _line(first or second, first, second)
        lines.append(line)
        if line["b - a"] is not None and first and second and (pair := pair_test(second, first)):
            pairs.append((line, pair))
    for (line, pair), p in zip(pairs, holm([pair.p for _, pair in pairs]), strict=True):
        line["p (Holm)"], line["clips"] = p, replace(pair, adjusted=p).clips
    return lines


def _key(f: Figure) -> _Key:
    system = f.group.system
    number = system.label.rpartition("#")[2] if "#" in system.label else ""
    return (
        f.group.task,
        f.group.dataset,
        f.group.probe,
        system.spec,
        system.floor,
        number,
        *f.group.place,
        f.metric,
        f.test,
    )


def _line(some: Figure | None, first: Figure | None, second: Figure | None) -> dict[str, Any]:
    assert some is not None
    named = next((f for f in (first, second) if f is not None and f.metric), some)
    group = some.group
    note = _note(first, second)
    refused = note.startswith(("only in", "not compared"))
    means = [f.mean if f else None for f in (first, second)]
    apart, better = None, ""
    if not refused and means[0] is not None and means[1] is not None:
        apart = means[1] - means[0]
        good = [metric_of(named.metric).goodness(mean) for mean in (means[0], means[1])]
        better = "" if good[0] == good[1] else "b" if good[1] > good[0] else "a"
    return {
        "task": group.task,
        "data set": group.dataset,
        "input": group.system.label,
        "probe": group.probe or "-",
        "metric": named.metric or "-",
        "test": named.test or "-",
        "a": means[0],
        "b": means[1],
        "b - a": apart,
        "better": better,
        "p (Holm)": None,
        "clips": None,
        "note": note,
    }


def _note(first: Figure | None, second: Figure | None) -> str:
    if first is None or second is None:
        return f"only in {'b' if first is None else 'a'}"
    rows = [f.group.rows[0] for f in (first, second)]
    hashes = [r.get("data", {}).get("sha256") for r in rows]
    if hashes[0] != hashes[1]:
        names = [(h or "none")[:12] for h in hashes]
        return f"not compared: other data (sha256 {names[0]} in a, {names[1]} in b)"
    words = [
        f"{name}: {f.missing} ({'; '.join(f.reasons)})" for name, f in (("a", first), ("b", second)) if f.mean is None
    ]
    if words:
        return f"not compared: {'; '.join(words)}"
    if rows[0].get("budget") != rows[1].get("budget"):
        words.append("budgets differ")
    judges = [r.get("notes", {}).get("judge") for r in rows]
    if judges[0] != judges[1] and first.metric in ("dwer", "dcer"):
        words.append(f"judges differ ({judges[0]}, {judges[1]})")
    prints = [r["input"]["fingerprint"] for r in rows]
    if prints[0] != prints[1]:
        words.append("the input has another fingerprint")
    seeds = [sorted(r["seed"] for r in f.group.done) for f in (first, second)]
    if seeds[0] != seeds[1]:
        words.append(f"{len(first.values)} and {len(second.values)} seeds")
    return "; ".join(words)

"""Tables of what was run, on what, with what budget, at what cost, and where it came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..runner.results import Row
from .aggregate import Group
from .book import Book
from .table import ReportTable, TableCell, TableLine
from .tables import task_label


def data_table(book: Book) -> ReportTable:
    """Data sets: clips of each split, licence, and what a reader must know."""
    found: dict[tuple[str, str, str], Row] = {}
    for row in book.rows:
        data = row.get("data") or {}
        found.setdefault((row["task"], row["dataset"], data.get("sha256", "")), data)
    lines = []
    for (task, name, digest), data in found.items():
        tests = ", ".join(f"{n} {k}" if k != "test" else str(n) for k, n in data.get("tests", {}).items())
        cells = [task_label(task), name, str(data.get("train", "")), str(data.get("valid", "")), tests]
        cells += [data.get("licence", ""), digest[:12], data.get("note", "")]
        lines.append(TableLine(tuple(map(TableCell, cells))))
    head = ("task", "data set", "train", "valid", "test", "licence", "sha256", "note")
    return ReportTable("data", "Data", head, tuple(lines), "train, valid, test: clips.", len(head))


def input_table(book: Book) -> ReportTable:
    """Inputs: what they are, their rates, and what was fitted on what."""
    systems = {g.system.spec: g.system for g in sorted(book.groups, key=lambda g: g.system.order) if not g.system.floor}
    infos = {r["input"]["spec"]: r["input"] for r in book.rows}
    lines = []
    for spec, system in systems.items():
        info = infos[spec]
        top, _, bottom = system.frame_rate.partition("/")
        rate = int(top) / int(bottom or 1)
        sizes = info["codebook_sizes"]
        shape = _codebooks(sizes) if sizes else f"{info['dim']} values" if info["dim"] else ""
        kbps = "" if system.bitrate is None else f"{system.bitrate:.2f}"
        tokens = "" if system.token_rate is None else f"{system.token_rate:.1f}"
        frames = f"{rate:.2f}" if rate else ""
        cells = [system.label, spec, system.kind, frames, shape, kbps, tokens, system.fitted_on]
        lines.append(TableLine(tuple(map(TableCell, cells))))
    head = ("input", "written", "kind", "frames/s", "a frame", "kbit/s", "tokens/s", "fitted on")
    about = "kbit/s and tokens/s are nominal: frame rate times the codebooks, times log2 of their sizes."
    return ReportTable("inputs", "Inputs", head, tuple(lines), about, len(head))


def _codebooks(sizes: Sequence[int]) -> str:
    few, many = min(sizes), max(sizes)
    return f"{len(sizes)} x {few}" if few == many else f"{len(sizes)} codebooks of {few} to {many}"


def budget_table(book: Book) -> ReportTable:
    """What every input of a task got alike, and the learning rates that the sweeps chose."""
    lines = []
    for group in _trained(book):
        row = group.rows[0]
        budget = row["budget"]
        rates = ", ".join(f"{r:g}" for r in budget["rates"])
        chosen = ", ".join(f"{r['rate']:g}" if r["rate"] is not None else "-" for r in group.rows)
        parameters = max(r["parameters"] for r in group.rows)
        macs = row["macs_per_second"]
        cells = [
            task_label(group.task), group.probe, group.system.label, str(budget["steps"]), str(budget["batch"]),
            f"{rates} x {budget['sweep_steps']}", chosen, f"{parameters:,}" if parameters else "",
            f"{macs / 1e6:.2f}" if macs else "",
        ]  # fmt: skip
        lines.append(TableLine(tuple(map(TableCell, cells))))
    head = (
        "task",
        "probe",
        "input",
        "steps",
        "batch",
        "rates tried x steps",
        "chosen, by seed",
        "parameters",
        "M MAC/s",
    )
    about = (
        "Inputs of one task and probe have one budget; each seed tries every rate for a few steps, and valid decides."
    )
    return ReportTable("budgets", "Budgets and learning rates", head, tuple(lines), about, 3)


def cost_table(book: Book) -> ReportTable:
    """Wall time and peak memory of the cells of each group."""
    lines = []
    for group in book.groups:
        costs = [r["cost"] for r in group.rows]
        wall = [c["wall_seconds"] for c in costs if c.get("wall_seconds") is not None]
        peak = [c["peak_rss_mb"] for c in costs if c.get("peak_rss_mb") is not None]
        extract = max((c.get("extract_seconds") or 0.0 for c in costs), default=0.0)
        mean = sum(wall) / len(wall) if wall else 0.0
        cells = [
            task_label(group.task), group.probe or "-", group.system.label, str(len(costs)), f"{mean:.1f}",
            f"{extract:.1f}", f"{max(peak):.0f}" if peak else "-",
        ]  # fmt: skip
        lines.append(TableLine(tuple(map(TableCell, cells))))
    head = ("task", "probe", "input", "cells", "s a cell", "s to extract, once", "peak MB")
    total = sum(r["cost"].get("wall_seconds") or 0.0 for r in book.rows)
    about = f"All cells together: {duration(total)}. Peak: resident memory of the process, the most of the cells."
    return ReportTable("cost", "Cost", head, tuple(lines), about, 3)


def cell_table(book: Book) -> ReportTable:
    """Every cell as a line, for CSV."""
    head = (
        "cell", "task", "dataset", "probe", "input", "floor", "seed", "status", "reason", "rate", "wall_seconds",
        "peak_rss_mb", "failed_clips", "date",
    )  # fmt: skip
    lines = []
    for r in book.rows:
        cost = r["cost"]
        values = [
            r["cell"], r["task"], r["dataset"], r["probe"], r["input"]["spec"], r["floor"] or "", r["seed"],
            r["status"], r["reason"], r["rate"], cost.get("wall_seconds"), cost.get("peak_rss_mb"), len(r["failures"]),
            r["provenance"].get("date", ""),
        ]  # fmt: skip
        lines.append(TableLine(tuple(TableCell("" if v is None else str(v)) for v in values)))
    return ReportTable("cells", "Cells", head, tuple(lines))


def provenance_table(book: Book) -> ReportTable:
    """What differs between versions, commands, machines: each value once, with the number of cells."""
    names = ("version", "command", "machine", "python", "torch", "date")
    lines = []
    for name in names:
        for value, count in _counted(r["provenance"].get(name, "") for r in book.rows):
            lines.append(TableLine((TableCell(name), TableCell(value), TableCell(str(count)))))
    judges = _counted(r["notes"].get("judge", "") for r in book.rows)
    lines += [
        TableLine((TableCell("judge"), TableCell(value), TableCell(str(count)))) for value, count in judges if value
    ]
    return ReportTable("provenance", "Provenance", ("", "value", "cells"), tuple(lines), "", 2)


def duration(seconds: float) -> str:
    """For people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _counted(values: Iterable[str]) -> list[tuple[str, int]]:
    many = [str(v) for v in values]
    return [(v, many.count(v)) for v in dict.fromkeys(many)]


def _trained(book: Book) -> list[Group]:
    return [g for g in book.groups if any(r["steps"] for r in g.rows)]

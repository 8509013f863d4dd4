"""DASB's tables: systems as lines under their class of bitrate, tasks as columns, ceilings and floors in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..tasks import get_task
from .aggregate import chance_of
from .book import RATES, Book, Column, Key, labels
from .items import metric_of
from .stats import ranks
from .systems import FLOOR, System
from .table import ReportTable, TableCell, TableLine, figure_cell, intervals_words, metric_head, number

MARKED = (
    "★ best of the codes; ≈ codes not told apart from it (paired test over the same clips, Holm, p ≥ 0.05); "
    "° within the chance interval."
)


def task_words(key: Key) -> str:
    """Task, probe and data set for a heading."""
    task, dataset, probe = key
    return f"{task_label(task)}{f', {probe}' if probe else ''} ({dataset})"


def task_label(name: str) -> str:
    """As tables head it."""
    try:
        return get_task(name).label
    except ValueError:
        return name


def headline_tables(book: Book) -> list[ReportTable]:
    """One table of the tasks that are told right or wrong, one of those that make audio, one of resynthesis."""
    kinds: dict[str, list[Key]] = {}
    for key in book.keys:
        kinds.setdefault(_kind(key[0]), []).append(key)
    titles = {
        "discriminative": "What probes read from each input",
        "generative": "What probes make of each input",
        "resynthesis": "What comes back of the sound itself",
    }
    return [_headline(book, f"headline-{k}", titles[k], kinds[k]) for k in titles if k in kinds]


def _kind(task: str) -> str:
    try:
        found = get_task(task)
    except ValueError:
        return "discriminative"
    return "resynthesis" if not found.trained else "generative" if found.generative else "discriminative"


def _headline(book: Book, name: str, title: str, keys: Sequence[Key]) -> ReportTable:
    columns = [column for key in keys for column in book.headline(key)]
    systems = {label: g.system for label, g in labels([g for key in keys for g in book.of(key)]).items()}
    rank = rank_column(columns)
    head = ["input", "kbit/s"]
    for c in columns:
        task, dataset, probe = c.key
        same = {k[1] for k in keys if k[0] == task}
        where = f" {dataset}" if len(same) > 1 else ""
        parts = [f"{task.upper() if len(task) < 4 else task}{where}", probe, metric_head(c.metric, c.test)]
        head.append(" · ".join(p for p in parts if p) if len(keys) > 1 else parts[-1])
    if rank:
        head.append("rank")
    over, words = intervals_words([f for c in columns for f in c.figures if f.mean is not None])
    cells = {
        label: [figure_cell(c.of(label), c.marks.get(label, ""), over) for c in columns]
        + ([TableCell(rank[label]) if label in rank else TableCell("")] if rank else [])
        for label in systems
    }
    about = f"{words} {MARKED}"
    if rank:
        about += (
            " Rank: of the codes with a figure in every column of a task, averaged over its columns, then over tasks;"
            " ties share ranks; in brackets, how many of the tasks it stands for, where not all."
        )
    chance = _chance_line(columns, ["chance (95 %)", ""], 1 if rank else 0)
    return ReportTable(name, title, tuple(head), _grouped(systems, cells.__getitem__, chance), about, 1)


def rank_column(columns: Sequence[Column]) -> dict[str, str]:
    """{label of codes: average rank over tasks} as DASB has it; {} where fewer than two systems can be ranked."""
    by_task: dict[str, list[dict[str, float]]] = {}
    for column in columns:
        rivals = {
            f.group.system.label: f.mean for f in column.figures if f.group.system.codes and f.mean is not None
        }  # fmt: skip
        found = ranks([-metric_of(column.metric).goodness(mean) for mean in rivals.values()])
        by_task.setdefault(column.key[0], []).append(dict(zip(rivals, found, strict=True)))
    means: dict[str, list[float]] = {}
    for many in by_task.values():
        for label in many[0] if all(len(ranked) > 1 for ranked in many) else ():
            if all(label in ranked for ranked in many):
                means.setdefault(label, []).append(sum(r[label] for r in many) / len(many))
    most = max(map(len, means.values()), default=0)
    return {k: f"{sum(v) / len(v):.2f}" + (f" ({len(v)})" if len(v) < most else "") for k, v in means.items()}


def task_tables(book: Book) -> Iterator[ReportTable]:
    """One table for each task and probe: every metric, with n and failures."""
    for key in book.keys:
        groups = book.of(key)
        systems = {g.system.label: g.system for g in groups}
        columns = [c for c in book.columns[key] if any(f.mean is not None for f in c.figures)]
        left = [c for c in book.columns[key] if c not in columns and c.metric]
        columns = columns or book.columns[key][:1]
        over, words = intervals_words([f for c in columns for f in c.figures if f.mean is not None])
        counts = {g.system.label: _counts(book, key, g.system.label) for g in groups}
        cells = {
            label: [figure_cell(c.of(label), c.marks.get(label, ""), over) for c in columns] + counts[label]
            for label in systems
        }
        head = ["input", "kbit/s", *(metric_head(c.metric, c.test) for c in columns), "seeds", "n", "failed"]
        about = f"{words} {MARKED} n: clips in the figures of a seed; failed: clips that could not be scored."
        if any(not c.pairs and c.metric not in RATES for c in columns):
            names = ", ".join(
                metric_head(c.metric, c.test).rpartition(" ")[0]
                for c in columns
                if not c.pairs and c.metric not in RATES
            )
            about += f" Without a paired test, for it is no sum over clips: {names}."
        for c in left:
            reasons = "; ".join(dict.fromkeys(r for f in c.figures for r in f.reasons))
            about += f" N.C.: {metric_head(c.metric, c.test).rpartition(' ')[0]} ({reasons})."
        chance = _chance_line(columns, ["chance (95 %)", ""], 3)
        name = "task-" + "-".join(p for p in (key[0], key[1], key[2].replace("/", "_").replace(":", "_")) if p)
        yield ReportTable(name, task_words(key), tuple(head), _grouped(systems, cells.__getitem__, chance), about, 1)


def _counts(book: Book, key: Key, label: str) -> list[TableCell]:
    figures = [f for c in book.columns[key] if (f := c.of(label)) and f.mean is not None and c.metric not in RATES]
    if not figures:
        return [TableCell("0"), TableCell(""), TableCell("")]
    ns = sorted({f.n for f in figures})
    clips = {clip for row in figures[0].group.rows for clip in row["failures"]}
    failed = max([len(clips), *(f.failures for f in figures)])
    reasons = dict.fromkeys(r for row in figures[0].group.rows for r in row["failures"].values())
    note = "; ".join(list(reasons)[:3]) + (f"; and {len(reasons) - 3} other reasons" if len(reasons) > 3 else "")
    many = str(ns[0]) if len(ns) == 1 else f"{ns[0]} to {ns[-1]}"
    return [
        TableCell(str(max(len(f.values) for f in figures))),
        TableCell(many),
        TableCell(str(failed), note=note if failed else ""),
    ]


def _chance_line(columns: Sequence[Column], start: list[str], more: int) -> TableLine | None:
    cells = [TableCell(text) for text in start]
    found = False
    for column in columns:
        # Probes trained on permuted labels have the same test labels: any row's interval will do.
        pair = chance_of((r for f in column.figures for r in f.group.rows), column.metric)
        found |= pair is not None
        cells.append(TableCell(" to ".join(number(v, column.metric) for v in pair) if pair else ""))
    return TableLine((*cells, *[TableCell("")] * more)) if found else None


def _grouped(
    systems: dict[str, System], cells: Callable[[str], list[TableCell]], chance: TableLine | None
) -> tuple[TableLine, ...]:
    lines: list[TableLine] = []
    group = ""
    for label, system in systems.items():
        if system.group != group:
            group = system.group
            lines.append(TableLine(heading=group))
        rate = (
            ""
            if system.bitrate is None
            else f"{system.bitrate:.2f}"
            if system.bitrate < 100
            else f"{system.bitrate:.0f}"
        )
        lines.append(TableLine((TableCell(label), TableCell(rate), *cells(label))))
    if chance:
        lines += ([] if group == FLOOR else [TableLine(heading=FLOOR)]) + [chance]
    return tuple(lines)

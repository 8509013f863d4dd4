"""Every figure and every paired test as a line, for those who compute on."""

from __future__ import annotations

from .aggregate import Figure
from .book import Book
from .table import ReportTable, TableCell, TableLine

_HEAD = (
    "task", "dataset", "probe", "metric", "test", "input", "written", "kind", "group", "floor", "kbps",
    "tokens_per_second",
    "mean", "low", "high", "interval_over", "seeds", "n", "failures", "mark", "chance_low", "chance_high", "missing",
    "reasons", "table", "row", "column",
)  # fmt: skip


def figure_table(book: Book) -> ReportTable:
    """All figures, those of studies and those that are missing too."""
    marks: dict[int, str] = {}
    figures: list[Figure] = []
    for key in book.keys:
        for column in book.columns[key]:
            figures += column.figures
            marks |= {id(f): column.marks.get(f.group.system.label, "") for f in column.figures}
    figures += [f for g in book.places for f in book.figures[id(g)]]
    return ReportTable("figures", "Figures", _HEAD, tuple(_line(f, marks.get(id(f), "")) for f in figures))


def _line(f: Figure, mark: str) -> TableLine:
    s, chance = f.group.system, f.chance or (None, None)
    values = (
        f.group.task, f.group.dataset, f.group.probe, f.metric, f.test, s.label, s.spec, s.kind, s.group, s.floor,
        s.bitrate, s.token_rate, f.mean, f.low, f.high, f.over, len(f.values), f.n, f.failures, mark, *chance,
        f.missing, "; ".join(f.reasons), *(f.group.place or ("", "", "")),
    )  # fmt: skip
    return TableLine(tuple(TableCell(_text(v)) for v in values))


def pair_table(book: Book) -> ReportTable:
    """All paired tests."""
    head = (
        "task", "dataset", "probe", "metric", "test", "first", "second", "difference", "clips", "p", "p_holm", "method",
    )  # fmt: skip
    lines = []
    for key in book.keys:
        for column in book.columns[key]:
            for p in column.pairs:
                names = (p.first.group.system.label, p.second.group.system.label)
                values = (*key, column.metric, column.test, *names, p.difference, p.clips, p.p, p.adjusted, p.test)
                lines.append(TableLine(tuple(TableCell(_text(v)) for v in values)))
    return ReportTable("pairs", "Paired tests", head, tuple(lines))


def _text(value: object) -> str:
    """Figures with six significant digits: more would be noise of the last bit between machines."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)

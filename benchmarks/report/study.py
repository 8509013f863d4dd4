"""The study's tables: rows whose notes name a table, a row and a column of it, pivoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .aggregate import Figure, Group
from .book import RATES, Book
from .table import ReportTable, TableCell, TableLine, figure_cell, intervals_words, metric_head


def study_tables(book: Book) -> Iterator[ReportTable]:
    """One table for each name in the notes, rows and columns in the order in which they first come.

    A cell has the first metric of its rows; test sets of it stand in it one after the other, "a / b". A table whose
    columns are tasks has a metric of its own in each.
    """
    for name in dict.fromkeys(g.place[0] for g in book.places):
        groups = [g for g in book.places if g.place[0] == name]
        rows = list(dict.fromkeys(g.place[1] for g in groups))
        columns = list(dict.fromkeys(g.place[2] for g in groups))
        shown = {id(g): _shown(book, g) for g in groups}
        over, words = intervals_words([f for found in shown.values() for f in found if f.mean is not None])
        heads = {c: _heads([f for g in groups if g.place[2] == c for f in shown[id(g)]]) for c in columns}
        one = len(set(heads.values())) == 1
        head = [_corner(groups), *(c if one else " · ".join(p for p in (c, heads[c]) if p) for c in columns)]
        lines = []
        for row in rows:
            found = [[g for g in groups if g.place[1:] == (row, c)] for c in columns]
            lines.append(
                TableLine((TableCell(row), *(_cell([f for g in at for f in shown[id(g)]], over) for at in found)))
            )
        metric = f" Figures: {heads[columns[0]]}." if one and heads[columns[0]] else ""
        about = f"{words}{metric} ° within the chance interval."
        yield ReportTable(f"study-{_file(name)}", name, tuple(head), tuple(lines), about.strip(), 1)


def _shown(book: Book, group: Group) -> list[Figure]:
    figures = book.figures[id(group)]
    first = next((f.metric for f in figures if f.metric not in RATES), figures[0].metric)
    return [f for f in figures if f.metric == first]


def _heads(figures: Sequence[Figure]) -> str:
    """Metric of a column, with the names of its test sets where there are several."""
    metrics = list(dict.fromkeys(f.metric for f in figures if f.metric))
    tests = list(dict.fromkeys(f.test for f in figures if f.test))
    words = ", ".join(metric_head(m) for m in metrics)
    return f"{words} ({' / '.join(tests)})" if len(tests) > 1 else words


def _corner(groups: Sequence[Group]) -> str:
    probes = list(dict.fromkeys(g.probe for g in groups))
    return probes[0] if len(probes) == 1 else ""


def _cell(figures: Sequence[Figure], over: str) -> TableCell:
    if len(figures) < 2:
        return figure_cell(figures[0] if figures else None, "", over)
    cells = [figure_cell(f, "", over) for f in figures]
    # Written out, for a cell has one spread.
    text = " / ".join(" ".join(p for p in (c.text, c.spread) if p) for c in cells)
    marks = tuple(dict.fromkeys(m for c in cells for m in c.marks))
    note = "; ".join(dict.fromkeys(c.note for c in cells if c.note))
    return TableCell(text, marks=marks, note=note, missing=all(c.missing for c in cells))


def _file(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")[:60]

"""Tables as Markdown and CSV."""

from __future__ import annotations

import csv
import io
import re
import unicodedata

from .table import MARKS, ReportTable, TableCell

_FIGURE = re.compile(r"[+-]([\d.]+(e[+-]?\d+)?|inf|nan)?%?( ± [<\d.]+(e[+-]?\d+)?)?")
"""What begins with a sign and is a number all the same, or a dash that stands for none."""


def markdown(table: ReportTable) -> str:
    """A table with its heading, footnotes and remark; columns are aligned, for it is read as text too."""
    head = [_escape(h) for h in table.head]
    lines = [
        [f"**{_escape(line.heading)}**", *[""] * (len(head) - 1)]
        if line.heading
        else [_cell(table, c) for c in line.cells]
        for line in table.lines
    ]
    widths = [max(3, *(_width(row[i]) for row in [head, *lines])) for i in range(len(head))]
    rule = ["-" * w if i < table.wide else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    rows = [head, rule, *lines]
    text = "\n".join("| " + " | ".join(_pad(c, w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows)
    notes = "".join(f"\n{i}. {_escape(note)}" for i, note in enumerate(table.notes, 1))
    about = f"\n\n{table.about}" if table.about else ""
    return f"### {table.title}\n\n{text}\n{about}{chr(10) if notes else ''}{notes}\n"


def _cell(table: ReportTable, cell: TableCell) -> str:
    text = " ".join(_escape(p) for p in (cell.text, cell.spread) if p)
    if "best" in cell.marks:
        text = f"**{text}**"
    text += "".join(f" {MARKS[m]}" for m in cell.marks)
    return text + (f" [{table.number(cell)}]" if cell.note else "")


def _escape(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def to_csv(table: ReportTable) -> str:
    """Heads, then lines: groups as a column of their own in front where there are any; notes behind the figures."""
    grouped = any(line.heading for line in table.lines)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = [*(["group"] if grouped else []), *table.head, *(["notes"] if table.notes else [])]
    writer.writerow(map(_plain, head))
    group = ""
    for line in table.lines:
        group = line.heading or group
        if line.heading:
            continue
        notes = "; ".join(f"{h}: {c.note}" for h, c in zip(table.head, line.cells, strict=True) if c.note)
        cells = [c.plain if c.plain is not None else " ".join(p for p in (c.text, c.spread) if p) for c in line.cells]
        row = [*([group] if grouped else []), *cells, *([notes] if table.notes else [])]
        writer.writerow(map(_plain, row))
    return out.getvalue()


def _plain(cell: str) -> str:
    """A cell on one line that no spreadsheet takes for a formula: what begins like one has an apostrophe before it."""
    text = " ".join(str(cell).split())
    if text[:1] in ("=", "@") or (text[:1] in ("+", "-") and not _FIGURE.fullmatch(text)):
        return f"'{text}"
    return text

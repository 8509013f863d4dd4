"""A table before it is Markdown, CSV or HTML: cells with marks and footnotes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from codectok.errors import CodectokError

from .aggregate import Figure
from .items import metric_of

MARKS = {"best": "★", "tied": "≈", "chance": "°"}
"""Best of its column; not told apart from the best; within the interval of guesses."""


@dataclass(frozen=True)
class TableCell:
    """One cell.

    Attributes:
        text: as it is shown; "" is an empty cell.
        spread: what stands behind it, smaller: "± 1.2".
        marks: names in :data:`MARKS`.
        note: footnote, in full; the table numbers them.
        missing: whether a figure should stand here and does not.
        plain: for CSV, where it is to differ from the text.
    """

    text: str
    spread: str = ""
    marks: tuple[str, ...] = ()
    note: str = ""
    missing: bool = False
    plain: str | None = None


@dataclass(frozen=True)
class TableLine:
    """A line of a table: cells, or (with ``heading``) the name of the group that begins."""

    cells: tuple[TableCell, ...] = ()
    heading: str = ""


@dataclass(frozen=True)
class ReportTable:
    """A table.

    Attributes:
        name: of its CSV file.
        title: heading.
        head: of its columns.
        lines: of it; those with cells have one for each column.
        about: what to know of it, under it.
        wide: columns from here on are numbers, set to the right.
    """

    name: str
    title: str
    head: tuple[str, ...]
    lines: tuple[TableLine, ...]
    about: str = ""
    wide: int = 1
    notes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        for line in self.lines:
            if not line.heading and len(line.cells) != len(self.head):
                raise CodectokError(f"table {self.name}: {len(line.cells)} cells under {len(self.head)} heads")
        notes = dict.fromkeys(cell.note for line in self.lines for cell in line.cells if cell.note)
        object.__setattr__(self, "notes", tuple(notes))

    def number(self, cell: TableCell) -> int:
        """Of a cell's footnote, from 1; 0 for none."""
        return self.notes.index(cell.note) + 1 if cell.note else 0


def metric_head(name: str, test: str = "test") -> str:
    """Label, unit and direction of a metric, e.g. "WER % ↓", with the name of the test set where there are more."""
    metric = metric_of(name)
    unit = f" {metric.unit}" if metric.unit and metric.unit != "MOS" else ""
    where = "" if test in ("", "test") else f" {test}"
    return f"{metric.label}{where}{unit} {metric.arrow}"


def number(value: float, metric: str) -> str:
    """A figure with the metric's decimals."""
    text = f"{value:.{metric_of(metric).decimals}f}"
    return text[1:] if text.startswith("-") and not float(text) else text


def figure_cell(figure: Figure | None, mark: str = "", over: str = "") -> TableCell:
    """A figure as a cell; ``over`` is what the intervals of the table are over, others are footnoted."""
    if figure is None:
        return TableCell("-")
    if figure.mean is None:
        return TableCell(figure.missing, note="; ".join(figure.reasons), missing=True)
    digits, half = metric_of(figure.metric).decimals, figure.half_width
    least = 10.0**-digits
    spread = "" if half is None else f"± <{least:g}" if half < least / 2 else f"± {half:.{digits}f}"
    found = [mark] if mark else []
    chance = figure.chance
    if chance and chance[0] <= figure.mean <= chance[1]:
        found.append("chance")
    notes = []
    if figure.reasons:
        lost = len(figure.group.rows) - len(figure.values)
        notes.append(f"{lost} of {len(figure.group.rows)} seeds are missing: {'; '.join(figure.reasons)}")
    if figure.failures:
        notes.append(f"{figure.failures} of {figure.n + figure.failures} clips failed and are not in the figure")
    if over and figure.over and figure.over != over:
        notes.append(f"interval over {figure.over}")
    return TableCell(number(figure.mean, figure.metric), spread, tuple(found), "; ".join(notes))


def intervals_words(figures: Sequence[Figure]) -> tuple[str, str]:
    """What most intervals of a table are over ("seeds", "clips" or ""), and the sentence that says so."""
    overs = [f.over for f in figures if f.over]
    if not overs:
        return "", "No intervals: one seed, and no scores of single clips." if figures else ""
    over = max(("seeds", "clips"), key=overs.count)
    words = {
        "seeds": "± is half the 95 % interval of the mean over seeds (Student's t).",
        "clips": "± is half the 95 % interval over clips (bootstrap); there is one seed.",
    }
    return over, words[over]

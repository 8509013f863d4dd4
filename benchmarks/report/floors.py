"""What an input costs by itself, before any probe: mixtures and clean targets passed through it."""

from __future__ import annotations

from collections.abc import Iterator

from .book import Book, labels
from .table import ReportTable, TableCell, TableLine, metric_head, number
from .tables import task_words


def passed_tables(book: Book) -> Iterator[ReportTable]:
    """For tasks whose rows note ``floor.METRIC`` and ``ceiling.METRIC``: one table each."""
    for key in book.keys:
        groups = labels(book.of(key))
        notes = {label: g.done[0]["notes"] for label, g in groups.items() if g.done}
        names = list(
            dict.fromkeys(n for found in notes.values() for n in found if n.startswith(("floor.", "ceiling.")))
        )
        if not names:
            continue
        head = ["input"]
        for name in names:
            kind, _, rest = name.partition(".")
            metric, _, test = rest.partition("@")
            head.append(f"{'mixture' if kind == 'floor' else 'clean'}: {metric_head(metric, test)}")
        lines = [
            TableLine((TableCell(label), *(_cell(found.get(name, ""), name) for name in names)))
            for label, found in notes.items()
        ]
        about = (
            "mixture: the noisy or mixed audio through the input and back, no probe (a floor); clean: the clean target "
            "through it (a ceiling, for what codes cannot carry no probe can give back)."
        )
        title = f"What inputs do alone: {task_words(key)}"
        yield ReportTable("alone-" + "-".join(p for p in key if p), title, tuple(head), tuple(lines), about, 1)


def _cell(value: object, name: str) -> TableCell:
    metric = name.partition(".")[2].partition("@")[0]
    try:
        return TableCell(number(float(str(value)), metric))
    except ValueError:
        return TableCell("-" if value == "" else "N.C.", note=str(value), missing=bool(value))

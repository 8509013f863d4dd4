"""The folder of a report: Markdown, CSV, one page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.files.atomic import atomic_path
from codectok.files.inside import safe_name

from . import facts, words
from .book import Book
from .floors import passed_tables
from .gaps import gap_table, gaps
from .long import figure_table, pair_table
from .markdown import markdown, to_csv
from .page import render
from .study import study_tables
from .table import ReportTable
from .tables import headline_tables, task_tables


def write_report(results: Path, out: Path) -> None:
    """Write ``report.md``, ``report.html`` and ``tables/*.csv`` of a results folder; the same rows, the same bytes.

    Args:
        results: a folder that ``codectok bench run`` made, or its ``results.jsonl``.
        out: folder of the report; files of these names in it are replaced, tables of an older report removed.

    Raises:
        FormatError: no results there.
    """
    book = Book(Path(results))
    sections = list(_sections(book))
    tables = {t.name: to_csv(t) for _, _, many in sections for t in many}
    tables |= {t.name: to_csv(t) for t in (figure_table(book), pair_table(book), facts.cell_table(book))}
    for name, text in tables.items():
        _write(out / "tables" / safe_name(f"{name}.csv", results), text)
    for path in (out / "tables").glob("*.csv"):
        if path.stem not in tables:
            path.unlink()
    _write(out / "report.md", _markdown(book, sections))
    _write(out / "report.html", render(book))


def _sections(book: Book) -> Iterator[tuple[str, str, list[ReportTable]]]:
    """Heading, text and tables of each part of the Markdown."""
    known, missing = words.notes(book), words.missing(book)
    yield "Results", "", headline_tables(book)
    yield "What has no score", _list(missing), []
    yield (
        "How to read it",
        _list(words.READ) + ("\nOf this data and these tokenizers:\n\n" + _list(known) if known else ""),
        [],
    )
    found = list(gaps(book))
    yield "What discreteness costs", "", [gap_table(found)] if found else []
    yield "Studies", "", list(study_tables(book))
    yield "Every task", "", [*task_tables(book), *passed_tables(book)]
    yield "What was run", "", [facts.data_table(book), facts.input_table(book)]
    many = [facts.budget_table(book), facts.cost_table(book), facts.provenance_table(book)]
    yield "Budgets, cost, provenance", "", [t for t in many if t.lines]


def _markdown(book: Book, sections: list[tuple[str, str, list[ReportTable]]]) -> str:
    parts = [f"# {words.title(book)}", words.about(book), words.counts(book)]
    for heading, text, tables in sections:
        if text or tables:
            parts += [f"## {heading}", text.strip(), *(markdown(t).strip() for t in tables)]
    return "\n\n".join(p for p in parts if p) + "\n"


def _list(found: list[str] | tuple[str, ...]) -> str:
    return "".join(f"- {text}\n" for text in found)


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

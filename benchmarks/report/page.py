"""The page: one HTML file with its tables, plots and sound inside; it needs no network."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from . import facts, html, plots, words
from .book import Book, Column
from .floors import passed_tables
from .gaps import Gap, gap_table, gaps
from .sound import choose
from .study import study_tables
from .table import metric_head
from .tables import headline_tables, task_tables, task_words

_CURVES = (
    "pesq", "stoi", "level", "worst_octave", "loud_frames", "lsd", "dnsmos", "dwer", "spk_sim", "mel", "distillmos",
    "visqol",
)  # fmt: skip
"""Metrics of resynthesis that are drawn against the rate."""


def render(book: Book) -> str:
    """The page of a results folder."""
    sections = [part for part in _sections(book) if part[2]]
    links = "".join(f'<a href="#{name}">{escape(head)}</a>' for name, head, _ in sections)
    body = "".join(html.section(*part) for part in sections)
    about = f"<p>{escape(words.about(book))}</p>" if words.about(book) else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(words.title(book))}</title>
<style>{html.CSS}</style>
</head>
<body>
<header><h1>{escape(words.title(book))}</h1>
{about}<p>{escape(words.counts(book))}</p>
<nav>{links}</nav></header>
<main>
{body}</main>
</body>
</html>
"""


def _sections(book: Book) -> Iterator[tuple[str, str, str]]:
    """Name, heading and body of each; empty ones are left out."""
    found, colours = list(gaps(book)), plots.families(book)
    yield "headline", "Results", "".join(map(html.table, headline_tables(book)))
    yield "missing", "What has no score", html.bullets(words.missing(book))
    yield "read", "How to read it", html.bullets(words.READ) + _known(book)
    yield "rates", "Against bitrate", _rates(book, colours)
    yield "gaps", "What discreteness costs", _gaps(found, colours)
    yield "study", "Studies", "".join(map(html.table, study_tables(book)))
    yield "sound", "Listen", _sound(book)
    yield "tasks", "Every task", "".join(map(html.table, [*task_tables(book), *passed_tables(book)]))
    yield "ran", "What was run", html.table(facts.data_table(book)) + html.table(facts.input_table(book))
    budget, cost = facts.budget_table(book), facts.cost_table(book)
    many = (html.table(budget) if budget.lines else "") + html.table(cost) + html.table(facts.provenance_table(book))
    yield "cost", "Budgets, cost, provenance", many


def _known(book: Book) -> str:
    notes = html.bullets(words.notes(book))
    return f"<h3>Of this data and these tokenizers</h3>{notes}" if notes else ""


def _curves(book: Book) -> Iterator[Column]:
    for key in book.keys:
        resynthesis = key[0] == "resynthesis"
        chosen = [c for c in book.columns[key] if c.metric in _CURVES] if resynthesis else book.headline(key)
        yield from (c for c in chosen if plots.has_rates(c))


def _rates(book: Book, colours: dict[str, tuple[str, str]]) -> str:
    if not plots.available():
        return "<p>No plots: matplotlib is not installed: pip install 'codectok[bench]', then report again.</p>"
    many = ((c, book.measured(c.key)) for c in _curves(book))
    figures = [html.figure(_caption(c), plots.rate_plot(c, colours, measured)) for c, measured in many]
    return f'{html.legend(colours)}<div class="plots">{"".join(figures)}</div>' if figures else ""


def _gaps(found: list[Gap], colours: dict[str, tuple[str, str]]) -> str:
    if not found:
        return ""
    table = gap_table(found)
    if not plots.available():
        return html.table(table, False)
    columns = list({id(gap.column): gap.column for gap in found}.values())
    figures = [html.figure(_caption(c), plots.gap_plot([g for g in found if g.column is c], colours)) for c in columns]
    return (
        f"<p>{escape(table.about)}</p>"
        f'<div class="plots">{"".join(figures)}</div>'
        f"<details><summary>As a table</summary>{html.table(table, False)}</details>"
    )


def _caption(column: Column) -> str:
    return f"{task_words(column.key)}: {metric_head(column.metric, column.test)}"


def _sound(book: Book) -> str:
    heard, left_out = choose(book)
    parts = []
    task = ("", "", "")
    for one in heard:
        key = (one.task, one.dataset, one.probe)
        parts.append((f"<h3>{escape(task_words(key))}</h3>" if key != task else "") + html.players(one))
        task = key
    if parts and left_out:
        parts.append(f'<p class="about">{left_out} more clips are in the folder audio/ of the results.</p>')
    return "".join(parts)

"""`codectok bench`: list, run, report, compare."""

from __future__ import annotations

import click

from codectok.cli.lazy import LazyGroup

COMMANDS = {
    "list": (f"{__name__}.list_names:list_names", "List tasks, inputs, probes, metrics, suites or data sets."),
    "run": (f"{__name__}.run:run", "Run a suite, or what is missing of it, and write its report."),
    "report": (f"{__name__}.report:report", "Write tables, plots and a page of results."),
    "compare": (f"{__name__}.report:compare", "Compare two results, cell by cell."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def bench() -> None:
    """Compare tokenizers by task, bitrate and probe."""

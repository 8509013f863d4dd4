"""`codectok bench`: list, run, report, compare."""

from __future__ import annotations

import click

from codectok.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("benchmarks.list_cli:list_names", "List tasks, inputs, probes, metrics, suites or data sets."),
    "run": ("benchmarks.run_cli:run", "Run a suite, or what is missing of it, and write its report."),
    "report": ("benchmarks.report_cli:report", "Write tables, plots and a page of results."),
    "compare": ("benchmarks.report_cli:compare", "Compare two results, cell by cell."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def bench() -> None:
    """Compare tokenizers by task, bitrate and probe."""

"""`codectok bench report` and `codectok bench compare`."""

from __future__ import annotations

from pathlib import Path

import click

from codectok.cli.console import handle_errors, print_table
from codectok.cli.help import Renamed, command
from codectok.extras import need

RESULTS = click.Path(exists=True, path_type=Path)


@command()
@click.argument("results", type=RESULTS)
@click.option("-o", "--output", "out", cls=Renamed, old=["--out"], type=click.Path(path_type=Path),
              help="Folder of the report.  [default: RESULTS/report]")  # fmt: skip
@handle_errors
def report(results: Path, out: Path | None) -> None:
    """Write Markdown, CSV and one HTML page of RESULTS, a folder that `codectok bench run` made.

    \b
    Examples:
      codectok bench report results -o report
    """
    need("codectok bench report needs", "bench", "scipy")
    from ..report import write_report

    out = out or (results if results.is_dir() else results.parent) / "report"
    write_report(results, out)
    click.echo(f"Report: {out}")


@command()
@click.argument("a", type=RESULTS)
@click.argument("b", type=RESULTS)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@handle_errors
def compare(a: Path, b: Path, as_json: bool) -> None:
    """Compare results A and B: the same cells, difference and paired test.

    \b
    Examples:
      codectok bench compare results results-of-yesterday
    """
    need("codectok bench compare needs", "bench", "scipy")
    from ..report import compare as compare_results

    print_table("", compare_results(a, b), as_json)

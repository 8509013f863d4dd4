"""`codectok bench run`."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import click

from codectok.cli.console import finish, handle_errors, print_table
from codectok.cli.explain import explain_option, json_option, print_settings
from codectok.cli.help import Renamed, command
from codectok.cli.progress import Progress, progress
from codectok.errors import CodectokError
from codectok.extras import need

from ..runner import RunSummary, explain_suite, read_suite, run_suite
from ..runner.estimate import words
from ..runner.headline import headline
from ..runner.results import OLD, Row
from ..runner.run import CACHE, Watcher


@command()
@click.argument("suite")
@click.option("-o", "--output", "out", cls=Renamed, old=["--out"], type=click.Path(path_type=Path),
              help="Results folder.  [default: runs/bench-SUITE]")  # fmt: skip
@click.option(
    "--workers",
    "jobs",
    cls=Renamed,
    old=["--jobs"],
    type=click.IntRange(min=0),
    metavar="N",
    help="Processes, one thread each; 0: none.  [default: cores]",
)
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Seeds of every task, instead of the suite's.")
@click.option("--only", multiple=True, metavar="TASK/INPUT", help="Only these cells: TASK, TASK/INPUT or /INPUT.")
@click.option("--data", multiple=True, metavar="NAME=DIR", help="Folder of a data set, or of a family (librispeech).")
@click.option("--folder", multiple=True, metavar="NAME=DIR", help="Folder of a model that the suite names {NAME}.")
@click.option(
    "--judge",
    metavar="WHISPER",
    help="Whisper (folder or hub id) that transcribes what generative tasks make, for dWER.",
)
@click.option("--cache", type=click.Path(path_type=Path), default=CACHE, show_default=True, help="Tokens and features.")
@click.option("--device", default="cpu", show_default=True, help="Of tokenizers and probes; on cuda, use --workers 1.")
@click.option("--dry-run", is_flag=True, help="Say what would be run, and how long it will take.")
@explain_option
@json_option
@handle_errors
def run(
    suite: str,
    out: Path | None,
    jobs: int | None,
    seeds: int | None,
    only: tuple[str, ...],
    data: tuple[str, ...],
    folder: tuple[str, ...],
    judge: str | None,
    cache: Path,
    device: str,
    dry_run: bool,
    explain: bool,
    as_json: bool,
) -> None:
    """Run SUITE (a packaged name or a YAML file); a run that was stopped goes on where it was.

    Exit status: 0 all done or not computed for a stated reason, 1 some cells failed, 2 nothing could be done.

    \b
    Examples:
      codectok bench run mini-quick --dry-run
      codectok bench run mini-quick --explain
      codectok bench run mini --only si --seeds 5 -o results
    """
    if judge and not Path(judge).is_dir() and not re.fullmatch(r"[\w.-]+/[\w.-]+", judge):
        raise CodectokError(f"--judge {judge} is no folder, and no hub id such as openai/whisper-small")
    if explain:
        print_settings(explain_suite(suite, seeds, judge), as_json)
        return
    chosen = read_suite(suite, seeds, judge)
    need("codectok bench run needs", "bench", "scipy", *(["transformers"] if judge else []))
    out = out or Path("runs") / f"bench-{chosen.name}"
    watcher = _Shown()
    with watcher:
        summary = run_suite(
            chosen,
            out,
            jobs=len(os.sched_getaffinity(0)) if jobs is None else jobs,
            only=only,
            data=_pairs(data, "--data"),
            folders=_pairs(folder, "--folder"),
            cache=cache,
            device=device,
            dry_run=dry_run,
            watcher=watcher,
        )
    if not dry_run:
        _tell(summary, out)


def _tell(summary: RunSummary, out: Path) -> None:
    print_table("", headline(summary.rows))
    for status, words_of in (("failed", "failed"), ("nc", "not computed")):
        reasons = [row["reason"] for row in summary.rows if row["status"] == status]
        for reason in dict.fromkeys(reasons):
            click.echo(f"{reasons.count(reason)} cells {words_of}: {reason}")
    from ..report import write_report

    write_report(out, out / "report")
    click.echo(f"Results: {out / 'results.jsonl'}\nReport:  {out / 'report'}")
    done = summary.count("done")
    finish(done, summary.count("failed") if done else 1)


def _pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    found = {}
    for value in values:
        name, sign, folder = value.partition("=")
        if not (name and sign and folder):
            raise CodectokError(f"{option} {value}: write {option} NAME=DIR")
        if not Path(folder).is_dir():
            raise CodectokError(f"{option} {value}: {folder} is not a folder")
        found[name] = str(Path(folder).resolve())
    return found


class _Shown(Watcher):
    """A bar for each stage on a terminal, and a line a cell elsewhere."""

    LABELS = {"extract": "tokens and features", "cells": "cells"}  # noqa: RUF012

    def __init__(self) -> None:
        self.stack = contextlib.ExitStack()
        self.bar: Progress | None = None
        self.done = self.total = 0

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def planned(self, cells: int, to_do: int, seconds: float) -> None:
        self.total = to_do
        there = f", {cells - to_do} of them done before" if to_do < cells else ""
        click.echo(f"{cells} cells{there}; {words(seconds)}" if to_do else f"{cells} cells, all done before", err=True)

    def put_aside(self, rows: int) -> None:
        click.echo(f"{rows} rows of cells that the suite no longer has are kept in {OLD}", err=True)

    def stage(self, name: str, steps: int) -> None:
        self.stack.close()
        if steps:
            self.bar = self.stack.enter_context(progress(steps, self.LABELS[name]))

    def advance(self, steps: float, name: str) -> None:
        if self.bar is not None:
            self.bar.advance(steps)
            self.bar.note(name)

    def row(self, row: Row, name: str) -> None:
        self.done += 1
        if not os.isatty(2):
            score = next((f"{s['metric']} {s['value']:.4g}" for s in row["scores"] if s["value"] is not None), "")
            what = score if row["status"] == "done" else f"{row['status']}: {row['reason']}"
            click.echo(f"[{self.done}/{self.total}] {name}: {what}", err=True)

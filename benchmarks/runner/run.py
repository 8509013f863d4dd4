"""Runs a suite into a results folder: what is there is kept, what is missing is run, and the rows end in order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codectok.files.full_disk import is_hopeless
from codectok.processes import WAIT, Inline, Lost, Pool, Raised
from codectok.processes.work import Wait
from codectok.stops import keeping

from .estimate import estimate
from .plan import choose, make_plan
from .provenance import provenance
from .results import SUITE, Results, Row
from .row import Place, empty_row
from .suite import Suite
from .work import CellJob, CellWork

CACHE = Path(".cache") / "bench"
PRELOAD = (CellWork.__module__,)
"""What every worker imports."""


@dataclass(frozen=True)
class RunSummary:
    """What a run leaves: rows in the order of the plan, and how many of them it made itself."""

    rows: list[Row]
    made: int

    def count(self, status: str) -> int:
        """Rows that are "done", "failed" or "nc"."""
        return sum(row["status"] == status for row in self.rows)


class Watcher:
    """What a caller may see of a run; does nothing by itself."""

    def planned(self, cells: int, to_do: int, seconds: float) -> None:
        """Before the first cell: cells in all, those to run, and an estimate of the seconds."""

    def put_aside(self, rows: int) -> None:
        """So many rows were of cells that the suite no longer has."""

    def stage(self, name: str, steps: int) -> None:
        """So many steps of a kind begin: "extract" or "cells"."""

    def advance(self, steps: float, name: str) -> None:
        """A step or a share of one is done."""

    def row(self, row: Row, name: str) -> None:
        """A cell has ended."""


def run_suite(
    suite: Suite,
    out: str | os.PathLike[str],
    *,
    jobs: int = 1,
    only: Sequence[str] = (),
    data: Mapping[str, str] | None = None,
    folders: Mapping[str, str] | None = None,
    cache: str | os.PathLike[str] = CACHE,
    device: str = "cpu",
    dry_run: bool = False,
    setup: str = "",
    watcher: Watcher | None = None,
) -> RunSummary:
    """Run what a results folder lacks of a suite.

    A cell that is done there (the same id: the same data, input, probe, budget and seed) is not run again; those that
    failed or could not be computed are tried again. Rows of cells that the suite no longer has are put aside, and come
    back where it has them again.

    Args:
        suite: to run.
        out: results folder, made if missing.
        jobs: worker processes, each on one thread; 0 runs cells in this process.
        only: see :func:`~.plan.choose`.
        data: {name of a data set: its folder}.
        folders: {name: folder} for inputs that are written with {name}.
        cache: folder of tokens and features.
        device: of tokenizers and probes.
        dry_run: plan and estimate, and write nothing.
        setup: "module:function" that each worker calls first.
        watcher: is told what happens.

    Raises:
        LeakageError, CodectokError: what the suite says cannot be run; see :func:`~.plan.make_plan`.
    """
    watcher = watcher or Watcher()
    results = Results(Path(out))
    results.check_suite(suite.name)
    place = Place(Path(out), Path(cache), data or {}, folders or {}, device, provenance())
    results = Results(Path(out))
    plan = make_plan(suite, place)
    wanted = choose(plan.cells, only)
    if dry_run:
        done = {row["cell"] for row in results.rows() if row["status"] == "done"}
        todo = [c for c in wanted if c.id not in done]
        watcher.planned(len(wanted), len(todo), estimate(todo, results.rows(), jobs))
        return RunSummary(results.rows(), 0)
    with results.locked(), keeping(results.kept):
        results.write_text(SUITE, suite.text())
        before = results.rows()
        rows = results.order(before, [c.id for c in plan.cells])
        if lost := {r["cell"] for r in before} - {r["cell"] for r in rows}:
            watcher.put_aside(len(lost))
        done = {row["cell"] for row in rows if row["status"] == "done"}
        todo = [c for c in wanted if c.id not in done]
        watcher.planned(len(wanted), len(todo), estimate(todo, rows, jobs))
        rows += _run(plan.chunks(todo, place), [CellJob(c, place) for c in todo], results, jobs, setup, watcher)
        return RunSummary(results.order(rows, [c.id for c in plan.cells]), len(todo))


def _run(
    chunks: Sequence[CellJob], cells: Sequence[CellJob], results: Results, jobs: int, setup: str, watcher: Watcher
) -> list[Row]:
    """Caches first, then the cells, by the same workers."""
    rows: list[Row] = []
    many, first = [*chunks, *cells], len(chunks)
    shares = dict.fromkeys(range(len(many)), 0.0)
    left = len(chunks)

    def tasks() -> Iterator[tuple[int, CellJob] | Wait]:
        for number, job in enumerate(many):
            while number >= first and left:
                yield WAIT
            yield number, job

    def heard(task: tuple[int, CellJob], share: float) -> None:
        number, job = task
        watcher.advance(share - shares[number], job.cell.name)
        shares[number] = share

    work = CellWork(setup)
    watcher.stage("extract" if chunks else "cells", len(chunks) or len(cells))
    with Pool([work] * jobs, heard=heard, preload=PRELOAD) if jobs else Inline(work, heard) as pool:
        for (number, job), found in pool.run(tasks()):
            if isinstance(found, Raised) and is_hopeless(found.error):
                raise found.error
            heard((number, job), 1.0)
            if number < first:
                left -= 1
                if not left:
                    watcher.stage("cells", len(cells))
                continue
            if isinstance(found, Lost | Raised):
                found = empty_row(job.cell, job.place) | {"status": "failed", "reason": _why(found)}
            assert found is not None
            results.append(found)
            rows.append(found)
            watcher.row(found, job.cell.name)
    return rows


def _why(lost: Lost | Raised) -> str:
    if isinstance(lost, Raised):
        return f"{type(lost.error).__name__}: {lost.error}"
    hint = "out of memory? give fewer --workers" if "SIGKILL" in lost.reason else "run with --workers 0 to see where"
    return f"the worker died ({lost.reason}): {hint}"

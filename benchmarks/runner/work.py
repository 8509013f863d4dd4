"""What a worker does: makes a piece of a cache, or runs a cell and gives its row."""

from __future__ import annotations

import functools
import importlib
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from codectok.files.full_disk import is_hopeless
from codectok.processes import Report, Work

from ..contract import RATE, Clip, Dataset, Example, NotComputed, Outcome, Split
from ..datasets import open_dataset
from ..inputs import Input, open_input
from ..tasks import Assignment, Task, TaskContext, get_task
from .cache import Cache, Extracted
from .cells import SHUFFLED, BenchmarkCell, all_clips
from .floors import shuffle_labels
from .memory import peak_mb, reset_peak
from .results import Row
from .row import Place, empty_row, outcome_row, write_files


@dataclass(frozen=True)
class CellJob:
    """A cell to run; or, with a chunk, the part of the cache that a cell will need."""

    cell: BenchmarkCell
    place: Place
    chunk: int | None = None


class CellWork(Work[tuple[int, CellJob], Row | None]):
    """Runs numbered jobs; see :func:`run`.

    Args:
        setup: "module:function" that each worker calls first; "" for none.
    """

    def __init__(self, setup: str = "") -> None:
        self.setup = setup

    def open(self) -> None:
        """Call ``setup``."""
        if self.setup:
            module, _, name = self.setup.partition(":")
            getattr(importlib.import_module(module), name)()

    def finish(self, begun: tuple[int, CellJob], report: Report) -> Row | None:
        """Run one."""
        return run(begun[1], report)


@functools.lru_cache(maxsize=4)
def the_dataset(name: str, root: str | None) -> Dataset:
    """Opened once a process."""
    return open_dataset(name, root)


@functools.lru_cache(maxsize=4)
def _input(spec: str, device: str, folders: tuple[tuple[str, str], ...]) -> Input:
    return open_input(spec, device=device, folders=dict(folders))


@functools.lru_cache(maxsize=1)
def _extracted(cache: Path, name: str, root: str | None, opened: Input, targets: bool) -> Extracted:
    return Cache(cache, the_dataset(name, root), opened, targets).load()


def root_of(dataset: str, data: Mapping[str, str]) -> str | None:
    """Folder of a data set: given by its name, or by the first part of it ("librispeech" for "librispeech-asr")."""
    parts = dataset.split("-")
    names = ("-".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((data[name] for name in names if name in data), None)


def needs_cache(task: Task, opened: Input) -> bool:
    """Whether a task is fed with what the input extracts: one that trains nothing reads the clips itself."""
    return task.trained and opened.info.kind != "audio"


def run(job: CellJob, report: Report) -> Row | None:
    """A cell's row, whatever becomes of it; nothing for a chunk."""
    if job.chunk is not None:
        _make_chunk(job)
        return None
    reset = reset_peak()
    row = empty_row(job.cell, job.place)
    started = time.perf_counter()
    if job.cell.reason:
        return row | {"status": "failed" if job.cell.broken else "nc", "reason": job.cell.reason}
    try:
        _fill(row, job, report)
    except NotComputed as error:
        row |= {"status": "nc", "reason": _line(error)}
    except MemoryError:
        row |= {"status": "failed", "reason": "out of memory: give a smaller batch or fewer --workers"}
    except Exception as error:
        if is_hopeless(error):  # the next cell would fail as well, and its row could not be kept
            raise
        row |= {"status": "failed", "reason": f"{type(error).__name__}: {_line(error)}"}
    row["cost"].setdefault("wall_seconds", round(time.perf_counter() - started, 3))
    row["cost"] |= {"peak_rss_mb": round(peak_mb(), 1), "peak_of": "cell" if reset else "process"}
    return row


def _make_chunk(job: CellJob) -> None:
    """Errors are left to the cells that need it, which meet them again and have rows to tell them in."""
    cell, place = job.cell, job.place
    try:
        dataset = the_dataset(cell.entry.dataset, root_of(cell.entry.dataset, place.data))
        opened = _input(cell.spec, place.device, tuple(sorted(place.folders.items())))
        assert job.chunk is not None
        Cache(place.cache, dataset, opened, get_task(cell.entry.task).generative).make(job.chunk)
    except Exception as error:
        if is_hopeless(error):
            raise


def _fill(row: Row, job: CellJob, report: Report) -> None:
    cell, place, entry = job.cell, job.place, job.cell.entry
    root = root_of(entry.dataset, place.data)
    dataset, task = the_dataset(entry.dataset, root), get_task(entry.task)
    opened = _input(cell.spec, place.device, tuple(sorted(place.folders.items())))
    if needs_cache(task, opened):
        found = _extracted(place.cache, entry.dataset, root, opened, task.generative)
        split, failures = found.split(dataset), found.failures
        row["cost"]["extract_seconds"] = round(found.seconds, 3)
    elif task.trained:
        opened.extract([np.zeros(RATE, dtype=np.float32)])  # raises NotComputed, with the input's reason
        raise NotComputed(f"{opened.info.label} is not for {task.name}")
    else:
        split, failures = _bare(dataset), {}
    if cell.floor == SHUFFLED:
        dataset, split = shuffle_labels(dataset, split, cell.seed)
    last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            report(done / max(total, 1))

    context = TaskContext(opened, entry.judge, place.device, progress, entry.options)
    started = time.perf_counter()
    with _seeded(cell.seed):
        outcome = run_assignment(
            task, Assignment(dataset, cell.info or opened.info, split, cell.probe, entry.budget, cell.seed, context)
        )
    row["cost"]["wall_seconds"] = round(time.perf_counter() - started, 3)
    write_files(place.out, cell.id, outcome, row)
    row |= outcome_row(outcome, failures)
    if cell.note:
        row["notes"]["fitted"] = cell.note


def run_assignment(task: Task, given: Assignment) -> Outcome:
    """By the task's own probes, or by a language model where the probe is "llm:ARM"."""
    if given.probe.startswith("llm:"):
        from ..llm_probe import run

        return run(task, given)
    return task.run(given)


def _bare(dataset: Dataset) -> Split:
    """Clips with nothing extracted, for tasks that read them themselves."""
    nothing = {c: Example(c, torch.zeros(0)) for c in all_clips(dataset)}

    def of(clips: tuple[Clip, ...]) -> tuple[Example, ...]:
        return tuple(nothing[c] for c in clips)

    return Split(of(dataset.train), of(dataset.valid), {k: of(v) for k, v in dataset.tests.items()})


class _seeded:
    """Global generators from the seed, for libraries that draw from them; given back as they were."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        self.before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        random.seed(self.seed)
        np.random.seed(self.seed)  # noqa: NPY002
        torch.manual_seed(self.seed)

    def __exit__(self, *_: object) -> None:
        random.setstate(self.before[0])
        np.random.set_state(self.before[1])  # noqa: NPY002
        torch.set_rng_state(self.before[2])


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]

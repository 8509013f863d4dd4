"""Cells: one task, data set, input, probe and seed each, with an id that hashes everything that settles the result."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..contract import Clip, Dataset, InputInfo, LeakageError
from ..datasets.splits import audio_files
from ..inputs import Input, clip_key, fitted_clips
from ..tasks import Task
from .suite import SuiteEntry

VERSION = 1
"""Of the harness: raised when what probes are given, or how they are trained, changes the scores."""
SHUFFLED = "shuffled-labels"


class Reason(NamedTuple):
    """Why a data set or an input cannot be had: it is not here, or it is ``broken``."""

    words: str
    broken: bool = False


@dataclass(frozen=True)
class BenchmarkCell:
    """What one worker runs, and one row of results tells of.

    Attributes:
        id: 16 hex digits.
        entry: the suite's.
        suite, spec, probe, seed, floor: which of the entry's cells; floor is "" or :data:`SHUFFLED`.
        reason: why it cannot be computed; "" if it can.
        broken: whether that is a failure, and not something that is missing here.
        info: of the input, None where it could not be opened.
        note: for the row.
    """

    id: str
    suite: str
    entry: SuiteEntry
    spec: str
    probe: str
    seed: int
    floor: str = ""
    reason: str = ""
    broken: bool = False
    info: InputInfo | None = None
    note: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For people, e.g. "si speech@1.5 linear seed 0"."""
        parts = (self.entry.task, self.spec, self.probe, self.floor, f"seed {self.seed}")
        return " ".join(part for part in parts if part)


def entry_cells(
    suite: str,
    entry: SuiteEntry,
    task: Task,
    dataset: Dataset | None,
    inputs: Mapping[str, Input],
    reasons: Mapping[str, Reason],
) -> Iterator[BenchmarkCell]:
    """Cells of one entry, in the order of the table: inputs, probes, floors, seeds.

    Args:
        suite: its name.
        entry: of the suite.
        task: that the entry names.
        dataset: None where it is not here; ``reasons`` then has the reason under its name.
        inputs: those that are open, by specification.
        reasons: why others are not.

    Raises:
        LeakageError: an input was fitted on a test clip.
    """
    probes = entry.probes or task.probes[:1] or ("",)
    seeds = entry.seeds if task.trained else entry.seeds[:1]
    shuffled = entry.inputs[:1] if entry.shuffled is None else entry.shuffled
    data = data_facts(dataset) if dataset else {}
    stamp = _stamp(dataset) if dataset else ""
    for spec in entry.inputs:
        opened = inputs.get(spec)
        reason, broken = reasons.get(entry.dataset) or reasons.get(spec) or Reason("")
        note = fitted_note(entry, dataset, opened) if dataset and opened else ""
        for probe in probes:
            with_floor = task.trained and not task.generative and task.shuffled_floor and spec in shuffled
            for floor in ("", SHUFFLED) if with_floor else ("",):
                for seed in seeds:
                    settles = {
                        "version": [VERSION, getattr(task, "version", 1)],
                        "task": [entry.task, probe, asdict(entry.budget), entry.options, seed, floor],
                        "judge": _judge(entry.judge) if task.generative else "",
                        "data": [entry.dataset, data.get("sha256"), stamp],
                        "input": [spec, opened.info.fingerprint if opened else None],
                    }
                    cell_id = hashlib.sha256(json.dumps(settles, sort_keys=True, default=str).encode()).hexdigest()
                    info = opened.info if opened else None
                    yield BenchmarkCell(
                        cell_id[:16], suite, entry, spec, probe, seed, floor, reason, broken, info, note, data
                    )


def data_facts(dataset: Dataset) -> dict[str, Any]:
    """What the row says of the data."""
    return {
        "sha256": dataset.sha256,
        "train": len(dataset.train),
        "valid": len(dataset.valid),
        "tests": {name: len(clips) for name, clips in dataset.tests.items()},
        "licence": dataset.licence,
        "note": dataset.note,
    }


def fitted_note(entry: SuiteEntry, dataset: Dataset, opened: Input) -> str:
    """Nothing, or what to know of test clips that the input was fitted on.

    Raises:
        LeakageError: there are some, and the suite does not allow it.
    """
    fitted = fitted_clips(opened)
    tested = {clip_key(path) for clips in dataset.tests.values() for c in clips for path in audio_files(c)}
    both = sorted(tested & fitted)
    if not both:
        return ""
    words = f"{opened.info.label} was fitted on {len(both)} of the {len(tested)} test files of {dataset.name}"
    if not entry.allow_fitted:
        raise LeakageError(f"{words} ({both[0]}, ...): test on others, or write allow_fitted: true in the suite")
    return words


def all_clips(dataset: Dataset) -> list[Clip]:
    """Every clip of a data set once, in order: train, valid, tests."""
    many = (dataset.train, dataset.valid, *dataset.tests.values())
    return list(dict.fromkeys(clip for clips in many for clip in clips))


def _stamp(dataset: Dataset) -> str:
    """Of the sizes of its files: lists name files, and another file may have taken a name."""
    digest = hashlib.sha256()
    for path in dict.fromkeys(p for clip in all_clips(dataset) for p in audio_files(clip)):
        try:
            digest.update(f"{os.stat(path).st_size}\n".encode())
        except OSError:
            digest.update(b"missing\n")
    return digest.hexdigest()


def _judge(judge: str) -> str:
    """Name and sizes of a judge's folder, wherever it lies; an id as it is."""
    folder = Path(judge)
    if not judge or not folder.is_dir():
        return judge
    files = sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".bin"))
    config = folder / "config.json"
    digest = hashlib.sha256(config.read_bytes() if config.is_file() else b"").hexdigest()
    return f"{digest} {[p.stat().st_size for p in files]}"

"""The plan of a suite: opens its inputs and data sets, checks what it says, and lists its cells in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codectok.errors import AudioError, CodectokError, FingerprintError, FormatError, MissingPackageError

from ..contract import Dataset, NotComputed
from ..datasets import DATASETS
from ..inputs import Input, open_input
from ..inputs.spec import FOLDER, parse_spec
from ..tasks import Task, get_task
from .cache import Cache
from .cells import BenchmarkCell, Reason, entry_cells
from .row import Place
from .suite import Suite, SuiteEntry
from .work import CellJob, needs_cache, root_of, the_dataset


class SuiteError(CodectokError):
    """A suite that names what there is not, or leaves out what a task needs."""


@dataclass(frozen=True)
class Plan:
    """Cells in order, and the jobs that fill the caches they need."""

    cells: tuple[BenchmarkCell, ...]
    inputs: Mapping[str, Input]

    def chunks(self, cells: Sequence[BenchmarkCell], place: Place) -> list[CellJob]:
        """One job for each file of a cache that these cells need and that is not there."""
        jobs: dict[tuple[str, int], CellJob] = {}
        for cell in cells:
            task, opened = get_task(cell.entry.task), self.inputs.get(cell.spec)
            if cell.reason or opened is None or not needs_cache(task, opened):
                continue
            dataset = the_dataset(cell.entry.dataset, root_of(cell.entry.dataset, place.data))
            cache = Cache(place.cache, dataset, opened, task.generative)
            for number in cache.missing():
                jobs.setdefault((str(cache.folder), number), CellJob(cell, place, number))
        return list(jobs.values())


def make_plan(suite: Suite, place: Place) -> Plan:
    """List the cells of a suite.

    What is not here (a folder, a program, a package), or is here and damaged, becomes the reason of its cells, and the
    others run. What the suite says wrongly is an error before anything runs.

    Raises:
        LeakageError: splits of a data set that share what they must not, or an input fitted on its test clips.
        SuiteError: a probe or input that the suite names wrongly.
        CodectokError: no such task, data set or tokenizer.
    """
    check_folders(suite, place)
    inputs: dict[str, Input] = {}
    reasons: dict[str, Reason] = {}
    cells: dict[str, BenchmarkCell] = {}
    for entry in suite.tasks:
        task = get_task(entry.task)
        _check(entry, task)
        for spec in entry.inputs:
            if spec not in inputs and spec not in reasons:
                try:
                    inputs[spec] = open_input(spec, device=place.device, folders=place.folders)
                except Exception as error:
                    reasons[spec] = _reason(error)
        dataset = _dataset(entry.dataset, place, reasons)
        for cell in entry_cells(suite.name, entry, task, dataset, inputs, reasons):
            cells.setdefault(cell.id, cell)
    return Plan(tuple(cells.values()), inputs)


def choose(cells: Sequence[BenchmarkCell], only: Sequence[str]) -> list[BenchmarkCell]:
    """Cells of some tasks or inputs: "si", "si/speech@1.5", "/speech@1.5"; all where nothing is asked for.

    Raises:
        SuiteError: one that chooses nothing.
    """
    if not only:
        return list(cells)
    chosen: set[str] = set()
    for words in only:
        task, _, spec = words.partition("/")
        found = {c.id for c in cells if task in ("", c.entry.task, c.entry.dataset) and spec in ("", c.spec)}
        if not found:
            tasks = ", ".join(dict.fromkeys(c.entry.task for c in cells))
            inputs = ", ".join(dict.fromkeys(c.spec for c in cells))
            raise SuiteError(
                f"--only {words} chooses nothing: write TASK, TASK/INPUT or /INPUT; there are tasks {tasks} and inputs "
                f"{inputs}"
            )
        chosen |= found
    return [c for c in cells if c.id in chosen]


def _check(entry: SuiteEntry, task: Task) -> None:
    """What can be told wrong before anything is opened."""
    for probe in entry.probes:
        if not task.takes(probe) and not probe.startswith("llm:"):
            raise SuiteError(f"{entry.task} has no probe {probe!r}: take one of {', '.join(task.probes)}")
    known = DATASETS.get(entry.dataset)
    if known is not None and known.task != entry.task:
        fit = ", ".join(name for name, d in DATASETS.items() if d.task == entry.task)
        raise SuiteError(f"{entry.dataset} is a data set of {known.task}, not of {entry.task}: take one of {fit}")
    if task.trained and entry.budget.steps < 1:
        raise SuiteError(f"{entry.task} on {entry.dataset} has no budget: write e.g. budget: {{steps: 150}}")
    if not any(probe.startswith("llm:") for probe in entry.probes):
        try:
            task.check(entry.options)
        except CodectokError as error:
            raise SuiteError(f"{entry.task} on {entry.dataset}: {error}") from None
    for spec in entry.shuffled or ():
        if spec not in entry.inputs:
            raise SuiteError(f"{entry.task}: shuffled names {spec}, which is not among its inputs")


def _dataset(name: str, place: Place, reasons: dict[str, Reason]) -> Dataset | None:
    known, root = DATASETS.get(name), root_of(name, place.data)
    if known is not None and known.folder and root is None:
        reasons[name] = Reason(f"give --data {name}=DIR: {known.folder}")
        return None
    try:
        return the_dataset(name, root)
    except Exception as error:
        reasons[name] = _reason(error)
        return None


def _reason(error: Exception) -> Reason:
    """Of cells whose data set or input cannot be opened.

    Raises:
        CodectokError: the suite or the command line says something wrong, which is better known at once.
    """
    if isinstance(error, NotComputed | MissingPackageError):
        return Reason(str(error))
    if isinstance(error, CodectokError) and not isinstance(error, FormatError | AudioError | FingerprintError):
        raise error
    words = str(error) if isinstance(error, CodectokError) else f"{type(error).__name__}: {error}"
    return Reason(" ".join(words.split()), broken=True)


def check_folders(suite: Suite, place: Place) -> None:
    """Every folder that is given is one that the suite has a use for: a slip would leave its cells without a score.

    Raises:
        SuiteError: one that it has not.
    """
    sets = list(dict.fromkeys(e.dataset for e in suite.tasks if e.dataset in DATASETS and DATASETS[e.dataset].folder))
    for name in place.data:
        if not any(dataset == name or dataset.startswith(f"{name}-") for dataset in sets):
            raise SuiteError(f"--data {name}: suite {suite.name} asks for {', '.join(sets) or 'no folder of data'}")
    asked = list(dict.fromkeys(n for e in suite.tasks for s in e.inputs for n in FOLDER.findall(s)))
    for name in place.folders:
        if name not in asked:
            raise SuiteError(f"--folder {name}: suite {suite.name} asks for {', '.join(asked) or 'no model folder'}")


def check_names(suite: Suite) -> None:
    """Tasks, probes and inputs of a suite are written as they should be; opens nothing.

    Raises:
        SuiteError, TaskError, CodectokError: one that is not.
    """
    for entry in suite.tasks:
        _check(entry, get_task(entry.task))
        for spec in entry.inputs:
            try:
                parse_spec(spec)
            except NotComputed:  # a folder that is given when the suite is run
                continue

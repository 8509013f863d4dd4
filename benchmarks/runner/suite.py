"""Suite files: a short YAML with defaults at the top and a flat list of tasks, which may each replace them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from codectok.errors import CodectokError
from codectok.recipes import read_values

from ..nouns import Budget

SUITES = Path(__file__).parent.parent / "suites"
DEFAULTS = ("inputs", "probes", "budget", "seeds", "judge", "shuffled", "options", "allow_fitted")
"""Keys that may stand at the top, for all tasks, or in one task."""
SUITE_KEYS = ("name", "about", "tasks", *DEFAULTS)
ENTRY_KEYS = ("task", "dataset", *DEFAULTS)
BUDGET_KEYS = ("steps", "batch", "rates", "sweep_steps")


class SuiteError(CodectokError):
    """A suite file that does not say what to run."""


@dataclass(frozen=True)
class Entry:
    """One task on one data set.

    Attributes:
        task, dataset: names.
        inputs: specifications, see ``benchmarks/inputs/spec.py``; the first in tables first.
        probes: names; () is the task's default alone.
        budget: of every input and probe alike.
        seeds: of the training; a task that trains nothing takes the first alone.
        judge: folder or id of a Whisper for dWER; "" is none.
        shuffled: inputs that are also run with permuted training labels; None is the first input.
        options: for the task.
        allow_fitted: whether tokenizers may be tested on clips they were fitted on; the row then says so.
    """

    task: str
    dataset: str
    inputs: tuple[str, ...]
    probes: tuple[str, ...] = ()
    budget: Budget = field(default_factory=lambda: Budget(steps=0))
    seeds: tuple[int, ...] = (0, 1, 2)
    judge: str = ""
    shuffled: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    allow_fitted: bool = False


@dataclass(frozen=True)
class Suite:
    """What ``codectok bench run`` runs."""

    name: str
    about: str
    entries: tuple[Entry, ...]

    def with_overrides(self, seeds: int | None = None, judge: str | None = None) -> Suite:
        """The same with so many seeds (0, 1, ...), or another judge, in every task."""
        entries = self.entries
        if seeds is not None:
            entries = tuple(replace(e, seeds=tuple(range(seeds))) for e in entries)
        if judge is not None:
            entries = tuple(replace(e, judge=judge) for e in entries)
        return replace(self, entries=entries)

    def text(self) -> str:
        """YAML that :func:`read_suite` reads back, every key written out."""
        import yaml

        tasks = [{k: v for k, v in asdict(entry).items() if v is not None} for entry in self.entries]
        # Through JSON, where tuples are lists.
        value = json.loads(json.dumps({"name": self.name, "about": self.about, "tasks": tasks}))
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def suite_names() -> list[str]:
    """Suites in the package."""
    return sorted(p.stem for p in SUITES.glob("*.yaml"))


def read_suite(name: str) -> Suite:
    """A suite by path or packaged name.

    Raises:
        SuiteError: no such suite, or one that is not in the form of this module.
        FormatError: not YAML.
    """
    path = Path(name)
    if not path.is_file() and name not in suite_names():
        raise SuiteError(f"no suite {name!r}: give a YAML file or one of {', '.join(suite_names())}")
    values = read_values(name, [], SUITES)
    _known(values, SUITE_KEYS, f"suite {name}")
    tasks = values.get("tasks")
    if not isinstance(tasks, list) or not tasks:
        raise SuiteError(f"suite {name} lists no tasks: write tasks: and a list of task and dataset")
    defaults = {k: v for k, v in values.items() if k in DEFAULTS}
    entries = tuple(_entry(t, defaults, f"task {i} of suite {name}") for i, t in enumerate(tasks, 1))
    called = str(values.get("name", path.stem))
    if not re.fullmatch(r"\w[\w.-]*", called):  # results are kept in a folder of this name
        raise SuiteError(f"suite {name}: name: {called!r} is not letters, digits, '-', '_' and '.' alone")
    return Suite(called, " ".join(str(values.get("about", "")).split()), entries)


def _known(values: Mapping[Any, Any], keys: Sequence[str], where: str) -> None:
    for key in values:
        if key not in keys:
            raise SuiteError(f"{where} has an unknown key {key!r}; there are {', '.join(keys)}")


def _entry(row: Any, defaults: Mapping[str, Any], where: str) -> Entry:
    if not isinstance(row, dict):
        raise SuiteError(f"{where} is not key: value lines")
    _known(row, ENTRY_KEYS, where)
    values = {**defaults, **row}
    for key in ("task", "dataset", "inputs"):
        if not values.get(key):
            raise SuiteError(f"{where} has no {key}")
    # A budget in the task changes the keys it names alone.
    budget = {**_pairs(defaults, "budget", where), **_pairs(row, "budget", where)}
    shuffled = values.get("shuffled")
    if shuffled is not None and "shuffled" not in row:  # of all tasks: for those that have the input
        shuffled = [spec for spec in _words(shuffled, "shuffled", where) if spec in values["inputs"]]
    return Entry(
        task=str(values["task"]),
        dataset=str(values["dataset"]),
        inputs=_words(values["inputs"], "inputs", where),
        probes=_words(values.get("probes") or [], "probes", where),
        budget=_budget(budget, where),
        seeds=_seeds(values.get("seeds", 3), where),
        judge=str(values.get("judge") or ""),
        shuffled=None if shuffled is None else _words(shuffled, "shuffled", where),
        options=_pairs(values, "options", where),
        allow_fitted=bool(values.get("allow_fitted", False)),
    )


def _pairs(values: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    found = values.get(key) or {}
    if not isinstance(found, dict):
        raise SuiteError(f"{where}: {key} is not key: value pairs, e.g. {{steps: 100}}")
    return found


def _words(value: Any, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise SuiteError(f"{where}: {key} is not a list of names")
    if len(set(value)) != len(value):
        raise SuiteError(f"{where}: {key} names something twice")
    return tuple(value)


def _budget(value: Mapping[str, Any], where: str) -> Budget:
    _known(value, BUDGET_KEYS, f"the budget of {where}")
    try:
        rates = tuple(float(r) for r in value.get("rates", (1e-3,)))
        counts = {k: int(value.get(k, d)) for k, d in (("steps", 0), ("batch", 16), ("sweep_steps", 0))}
    except (TypeError, ValueError):
        raise SuiteError(f"{where}: a budget is numbers: steps, batch, sweep_steps, and a list of rates") from None
    if counts["batch"] < 1 or min(counts.values()) < 0 or not rates:
        raise SuiteError(f"{where}: a budget needs batch >= 1, steps >= 0 and at least one rate")
    if len(rates) > 1 and not counts["sweep_steps"]:
        raise SuiteError(f"{where}: several rates need sweep_steps to choose by: give some, or one rate")
    return Budget(rates=rates, **counts)


def _seeds(value: Any, where: str) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return tuple(range(value))
    if isinstance(value, list) and value and all(isinstance(v, int) for v in value) and len(set(value)) == len(value):
        return tuple(value)
    raise SuiteError(f"{where}: seeds is a number of seeds, or a list of different ones")

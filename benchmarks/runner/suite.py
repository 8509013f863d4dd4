"""Suite files: a short YAML with defaults at the top and a flat list of tasks, which may each replace them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Len
from pydantic import AfterValidator, BeforeValidator

from codectok.errors import FormatError
from codectok.settings.build import build
from codectok.settings.explain import Setting, explain
from codectok.settings.kinds import Count
from codectok.settings.refusal import unknown
from codectok.settings.values import Values, read
from codectok.settings.yaml_text import Keys, SettingPlace

from ..contract import Budget

SUITES = Path(__file__).parent.parent / "suites"
DEFAULTS = ("inputs", "probes", "budget", "seeds", "judge", "shuffled", "options", "allow_fitted")
"""Keys that may stand at the top, for all tasks, or in one task."""


def _once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise FormatError("names something twice")
    return values


def _counted(value: Any) -> Any:
    return tuple(value if isinstance(value, list) else range(value) if type(value) is int else [value])


Names = Annotated[tuple[str, ...], AfterValidator(_once)]
Seeds = Annotated[
    tuple[int, ...],
    Len(1),
    BeforeValidator(_counted, json_schema_input_type=Count | Annotated[list[int], Len(1)]),
    AfterValidator(_once),
]
"""A number stands for so many from 0 on."""


@dataclass(frozen=True)
class SuiteEntry:
    """One task on one data set."""

    task: Annotated[str, Len(1)]
    """Name of the task: see codectok bench list."""
    dataset: Annotated[str, Len(1)]
    """Name of the data set."""
    inputs: Annotated[Names, Len(1)]
    """Specifications, see ``benchmarks/inputs/spec.py``; the first in tables first."""
    probes: Names = ()
    """Names; none is the task's default alone."""
    budget: Budget = field(default_factory=lambda: Budget(steps=0))
    """Of every input and probe alike."""
    seeds: Seeds = (0, 1, 2)
    """Of the training: how many, or which; a task that trains nothing takes the first alone."""
    judge: str = ""
    """Folder or id of a Whisper for dWER; empty is none."""
    shuffled: Names | None = None
    """Inputs that are also run with permuted training labels; null is the first input."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """For the task."""
    allow_fitted: bool = False
    """Whether tokenizers may be tested on clips they were fitted on; the row then says so."""

    def __post_init__(self) -> None:
        if len(self.budget.rates) > 1 and not self.budget.sweep_steps:
            raise FormatError("several rates need sweep_steps to choose by: give some, or one rate")


def _folder_name(value: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", value):  # results are kept in a folder of this name
        raise FormatError(f"{value!r} is not letters, digits, '-', '_' and '.' alone")
    return value


@dataclass(frozen=True)
class Suite:
    """What ``codectok bench run`` runs."""

    name: Annotated[str, AfterValidator(_folder_name)]
    """Of its results; the file's where it is left out."""
    tasks: Annotated[tuple[SuiteEntry, ...], Len(1)]
    """What is run."""
    about: Annotated[str, AfterValidator(lambda text: " ".join(text.split()))] = ""
    """What it is for."""

    def text(self) -> str:
        """YAML that :func:`read_suite` reads back, every key written out."""
        import yaml

        tasks = [{k: v for k, v in asdict(entry).items() if v is not None} for entry in self.tasks]
        # Through JSON, where tuples are lists.
        value = json.loads(json.dumps({"name": self.name, "about": self.about, "tasks": tasks}))
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def suite_names() -> list[str]:
    """Suites in the package."""
    return sorted(p.stem for p in SUITES.glob("*.yaml"))


def read_suite(name: str, seeds: int | None = None, judge: str | None = None) -> Suite:
    """A suite by path or packaged name.

    Args:
        name: of a YAML file, or packaged.
        seeds: so many of every task (0, 1, ...), instead of the suite's.
        judge: of every task, instead of the suite's.

    Raises:
        FormatError: no such suite, one that is not in the form of this module, or not YAML.
    """
    return build(Suite, read_values(name, seeds, judge))


def explain_suite(name: str, seeds: int | None = None, judge: str | None = None) -> list[Setting]:
    """Every setting of a suite; arguments and errors as :func:`read_suite`."""
    return explain(Suite, read_values(name, seeds, judge))


def read_values(name: str, seeds: int | None = None, judge: str | None = None) -> Values:
    """Keys and values of a suite, with the defaults in every task that has none of its own; see :func:`read_suite`."""
    values = read([name], [], SUITES, "suite")
    for key in values.plain:
        if key not in (keys := ("name", "about", "tasks", *DEFAULTS)):
            raise unknown(values, (key,), keys)
    values.plain.setdefault("name", Path(name).stem)
    tasks = values.plain.get("tasks")
    for i, row in enumerate(tasks if isinstance(tasks, list) else ()):
        if isinstance(row, dict):
            _add_defaults(values, ("tasks", i), row)
            for key, value in (("seeds", seeds), ("judge", judge)):
                if value is not None:
                    values.put(("tasks", i, key), value, {(): SettingPlace()})
            for key in [key for key in row if row[key] is None]:
                del row[key]
    for key in DEFAULTS:
        values.pop(key)
    return values


def _add_defaults(values: Values, place: Keys, row: dict[str, Any]) -> None:
    for key in [key for key in DEFAULTS if key in values.plain and key not in row]:
        value, sources = values.get((key,))
        if key == "shuffled" and isinstance(value, list):  # of all tasks: for those that have the input
            value, sources = [spec for spec in value if spec in row.get("inputs", ())], {(): sources[()]}
        values.put((*place, key), value, sources)
    # A budget in the task changes the keys it names alone.
    own, shared = row.get("budget"), values.plain.get("budget")
    if isinstance(own, dict) and isinstance(shared, dict):
        for name in [name for name in shared if name not in own]:
            values.put((*place, "budget", name), *values.get(("budget", name)))

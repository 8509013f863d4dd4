"""A results folder as the report reads it: rows, groups, figures, and the paired tests of every column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codectok.metrics.level import HEADLINE

from ..runner.results import Row, read_rows
from .aggregate import Figure, Group, figures_of, group_rows
from .paired import Pair, all_pairs, marks
from .systems import CEILING, FLOOR

Key = tuple[str, str, str]
"""Task, data set, probe: what the systems of a column share."""
RATES = ("bitrate", "entropy_bitrate", "token_rate", "rtf", "parameters", "macs")
"""Metrics that say what an input costs: neither ranked nor tested."""
_GENERATIVE = {
    "se": ("dnsmos", "dwer", "spk_sim"),
    "ss": ("dnsmos", "dwer", "spk_sim"),
    "tts": ("distillmos", "dwer", "spk_sim"),
    "resynthesis": ("pesq", "stoi", *HEADLINE, "dnsmos", "dwer"),
}
"""Columns of tasks that no one figure sums up, as in DASB and the survey after it."""


@dataclass(frozen=True)
class Column:
    """One metric on one test set of the systems of one task and probe.

    Attributes:
        key: task, data set, probe.
        metric, test: which.
        figures: one a system.
        pairs: paired tests between them, corrected together.
        marks: {system's label: mark}.
    """

    key: Key
    metric: str
    test: str
    figures: tuple[Figure, ...]
    pairs: tuple[Pair, ...]
    marks: dict[str, str]

    def of(self, label: str) -> Figure | None:
        """Figure of a system; None where it was not in the suite."""
        return next((f for f in self.figures if f.group.system.label == label), None)


class Book:
    """Everything that the report tells."""

    def __init__(self, path: Path) -> None:
        """Read a results folder, or its file of rows.

        Raises:
            FormatError: there is none.
        """
        self.folder = path if path.is_dir() else path.parent
        self.rows: list[Row] = read_rows(path)
        self.groups: list[Group] = group_rows(self.rows)
        self.figures: dict[int, list[Figure]] = {id(g): figures_of(g, self.folder) for g in self.groups}
        self.keys: list[Key] = list(dict.fromkeys((g.task, g.dataset, g.probe) for g in self.groups if not g.place))
        self.columns: dict[Key, list[Column]] = {key: list(self._columns(key)) for key in self.keys}

    def of(self, key: Key) -> list[Group]:
        """Groups of a task, data set and probe, in the order of tables; those of a study's tables are left out."""
        found = [g for g in self.groups if (g.task, g.dataset, g.probe) == key and not g.place]
        return sorted(found, key=lambda g: g.system.order)

    @property
    def places(self) -> list[Group]:
        """Groups that stand in a study's tables."""
        return [g for g in self.groups if g.place]

    def headline(self, key: Key) -> list[Column]:
        """The first metric, on all its test sets; of generative tasks, the few that the field shows."""
        columns = [c for c in self.columns[key] if c.metric not in RATES] or self.columns[key]
        wanted = _GENERATIVE.get(key[0], ())
        with_values = [c for c in columns if any(f.mean is not None for f in c.figures)]
        found = [c for name in wanted for c in with_values if c.metric == name]
        return found or [c for c in columns if c.metric == columns[0].metric]

    def measured(self, key: Key) -> dict[str, float]:
        """{label: kbit/s as used}, where a task measured them."""
        figures = (f for c in self.columns[key] if c.metric == "bitrate" for f in c.figures)
        return {f.group.system.label: f.mean for f in figures if f.mean is not None}

    def _columns(self, key: Key) -> Iterator[Column]:
        groups = self.of(key)
        names = dict.fromkeys((f.metric, f.test) for g in groups for f in self.figures[id(g)] if f.metric)
        for metric, test in names or {("", ""): None}:
            figures = [self._figure(g, metric, test) for g in groups]
            tested = [f for f in figures if f.mean is not None]
            # Floors and ceilings are not rivals: tests of theirs would only weaken the correction of the others.
            rivals = [f for f in tested if f.group.system.group not in (FLOOR, CEILING)]
            pairs = [] if metric in RATES else all_pairs(rivals)
            found = {} if metric in RATES else marks(tested, pairs)
            by_label = {tested[i].group.system.label: mark for i, mark in found.items()}
            yield Column(key, metric, test, tuple(figures), tuple(pairs), by_label)

    def _figure(self, group: Group, metric: str, test: str) -> Figure:
        found = self.figures[id(group)]
        same = next((f for f in found if (f.metric, f.test) == (metric, test)), None)
        if same is not None:
            return same
        why = tuple(found[0].reasons) if not found[0].metric else ("not computed for this input",)
        missing = found[0].missing if not found[0].metric else "N.C."
        return Figure(group, metric, test, None, missing=missing, reasons=why)


def labels(groups: Sequence[Group]) -> dict[str, Group]:
    """{label: one of its groups}, in the order of tables."""
    return {g.system.label: g for g in sorted(groups, key=lambda g: g.system.order)}

"""The labels of a store: their names, types and hash, and how they become columns, objects or lines of its format."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from codectok.errors import FormatError
from codectok.items.labels import Label, Labels

_CHECKS: dict[str, Callable[[Any], bool]] = {
    "json": lambda v: isinstance(v, str | int | float | bool),
    "string": lambda v: isinstance(v, str),
    "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "float": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "bool": lambda v: isinstance(v, bool),
}


@dataclass(frozen=True)
class LabelColumns:
    """What ``store.json`` says of labels.

    Attributes:
        types: string, int, float, bool or json (values of no one type, each as JSON text), by name.
        sha256: of the labels of the corpus, as :class:`codectok.items.labels.LabelHash` has it.
    """

    types: Mapping[str, str] = field(hash=False)
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``store.json``."""
        return {"columns": dict(self.types), "sha256": self.sha256}

    @staticmethod
    def from_json(entry: Any) -> LabelColumns | None:
        """The inverse of ``to_json``; None, as of a store without labels, gives None.

        Raises:
            ValueError, TypeError, KeyError: not what ``to_json`` gives.
        """
        if entry is None:
            return None
        types = {str(name): kind for name, kind in entry["columns"].items()}
        if not all(kind in _CHECKS for kind in types.values()):
            raise ValueError("a label of unknown type")
        return LabelColumns(types, str(entry["sha256"]))

    def of(self, labels: Labels) -> dict[str, Label]:
        """The labels that are kept, without those that are None.

        Raises:
            FormatError: a value of another type than the corpus had when it was read through.
        """
        found, wrong = self._chosen(labels)
        if wrong is not None:
            raise FormatError(
                f"the label {wrong} is {found[wrong]!r} and not of type {self.types[wrong]}, as it was: the corpus "
                "changed while it was read, run the command again"
            )
        return found

    def read(self, found: Any) -> dict[str, Label]:
        """Labels as a file of the store has them, by their names, checked.

        Raises:
            ValueError: no object, or a value of another type than ``store.json`` says.
        """
        if not isinstance(found, Mapping):
            raise ValueError("labels that are no object")
        labels, wrong = self._chosen(found)
        if wrong is not None:
            raise ValueError(f"the label {wrong} is not of type {self.types[wrong]}")
        return labels

    def _chosen(self, labels: Mapping[str, Any]) -> tuple[dict[str, Label], str | None]:
        """Those of the labels that are kept, and the name of the first of another type."""
        found: dict[str, Label] = {name: value for name in self.types if (value := labels.get(name)) is not None}
        return found, next((n for n, value in found.items() if not _CHECKS[self.types[n]](value)), None)

    def spell(self, name: str, label: Label) -> str:
        """A label as text: strings as they are, others as JSON; ``parse`` undoes it."""
        return label if isinstance(label, str) and self.types[name] == "string" else json.dumps(label)

    def parse(self, name: str, text: str) -> Label:
        """The inverse of ``spell``."""
        found: Label = text if self.types[name] == "string" else json.loads(text)
        return found

    def columns(self, taken: Collection[str]) -> dict[str, str]:
        """The column of each name: its own, with ``label_`` before it where the format has another column so called.

        >>> LabelColumns({"id": "int", "text": "string"}, "").columns(("id", "codes"))
        {'id': 'label_id', 'text': 'text'}
        """
        found: dict[str, str] = {}
        for name in self.types:
            column = name
            while column in taken or (column != name and column in self.types):
                column = f"label_{column}"
            found[name] = column
        return found


def kept(holds: Collection[str] | None, types: Mapping[str, str], sha256: str) -> LabelColumns | None:
    """What a format keeps of a corpus's labels; None where that is nothing.

    Args:
        holds: the names that the format has a place for; None, any.
        types: of the labels of the corpus.
        sha256: of these.
    """
    chosen = {name: kind for name, kind in types.items() if holds is None or name in holds}
    return LabelColumns(chosen, sha256) if chosen else None

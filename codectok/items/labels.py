"""Labels of items: what a corpus says of an utterance beyond its audio, as plain values that every format can hold."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from codectok.errors import FormatError

Label = str | int | float | bool | None
Labels = Mapping[str, Label]
"""By name. A label that is None is the same as one that is not there, and readers leave it out."""

MAX_LABELS = 1000
"""Names in a corpus. More come from a manifest whose keys are data: a column a line, and no end of them."""
_EXACT = 2**53
"""Integers up to here are floats too."""


def as_label(value: Any) -> Label:
    """A value of a manifest as a label: lists and objects as JSON text, bytes and NaN as None, others as they are.

    >>> as_label(["a", 1])
    '["a", 1]'
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, list | tuple | dict):
        return _text(json.dumps(value, ensure_ascii=False, default=str))
    return None if isinstance(value, bytes | bytearray | memoryview) else _text(str(value))


def _text(value: str) -> str:
    """Half of a surrogate pair, which JSON can spell, is no character, and no file of UTF-8 holds it."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def as_text(label: Label) -> str | None:
    """A label as text; None where it is None or empty."""
    return None if label is None or label == "" else str(label)


def find_text(labels: Labels, *names: str) -> str:
    """The first of these labels that there is, as text without blanks at its ends; "" if none.

    A label's own name may be written in upper or lower case.
    """
    lower = {name.lower(): value for name, value in labels.items()}
    return next((text.strip() for name in names if (text := as_text(lower.get(name))) is not None), "")


_canonical = json.JSONEncoder(sort_keys=True).encode
"""Made once: json.dumps makes an encoder a call."""


class LabelHash:
    """sha256 over the ids and labels of items in their order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, key: str, labels: Labels) -> None:
        """Take in the labels of one more item."""
        self._hash.update(_canonical([key, dict(labels)]).encode() + b"\n")

    def hexdigest(self) -> str:
        """Of the items so far."""
        return self._hash.hexdigest()


class LabelTypes:
    """The names of labels, and of which type each is in all items: what makes them columns of a table.

    A type is string, int (64 bits), float, bool, or json where values of a name have no type in common: each is then
    kept as JSON text. Names are in the order in which they came, but for text, speaker and language, which lead.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}

    def add(self, labels: Labels) -> None:
        """Take in the labels of one more item.

        Raises:
            FormatError: there are over ``MAX_LABELS`` names.
        """
        for name, value in labels.items():
            if value is not None:
                kind = _kind(value)
                known = self._kinds.setdefault(name, kind)
                if known != kind:
                    self._kinds[name] = _common(known, kind)
        if len(self._kinds) > MAX_LABELS:
            raise FormatError(
                f"there are over {MAX_LABELS} label columns ({', '.join(list(self._kinds)[:3])}, ...): keep what "
                "differs from line to line in one column, as an object"
            )

    def types(self) -> dict[str, str]:
        """Type by name."""
        first = [n for n in ("text", "speaker", "language") if n in self._kinds]
        kinds = {n: self._kinds[n] for n in [*first, *(n for n in self._kinds if n not in first)]}
        return {name: "int" if kind == "long" else kind for name, kind in kinds.items()}


def _kind(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if abs(value) <= _EXACT else "long" if -(2**63) <= value < 2**63 else "json"
    return "float" if isinstance(value, float) else "string"


def _common(a: str, b: str) -> str:
    both = {a, b}
    return "long" if both == {"int", "long"} else "float" if both == {"int", "float"} else "json"

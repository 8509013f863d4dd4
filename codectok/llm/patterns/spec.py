"""Patterns as JSON: for a dataset's description, a request to a server, a command line."""

from __future__ import annotations

import dataclasses
from typing import Any

from codectok.errors import FormatError
from codectok.llm.patterns.base import Pattern
from codectok.llm.patterns.delay import Delay
from codectok.llm.patterns.flatten import Flatten, PartialFlatten
from codectok.llm.patterns.grouped import Grouped
from codectok.llm.patterns.multirate import MultiRate
from codectok.llm.patterns.sections import CoarseFirst, Sections

NAMES: dict[str, type[Pattern]] = {
    "delay": Delay,
    "flatten": Flatten,
    "partial-flatten": PartialFlatten,
    "sections": Sections,
    "coarse-first": CoarseFirst,
    "grouped": Grouped,
    "multi-rate": MultiRate,
}


def to_dict(pattern: Pattern) -> dict[str, Any]:
    """The pattern's name and its settings, ready for JSON.

    >>> to_dict(Delay((0, 1, 1), lead=1))
    {'pattern': 'delay', 'delays': (0, 1, 1), 'lead': 1, 'tail': 'extend', 'ends': False}
    """
    name = next(n for n, kind in NAMES.items() if type(pattern) is kind)
    return {"pattern": name, **dataclasses.asdict(pattern)}  # type: ignore[call-overload]


def from_dict(spec: dict[str, Any]) -> Pattern:
    """The inverse of ``to_dict``; lists count as tuples, settings left out have their defaults.

    Raises:
        FormatError: an unknown name or setting, or settings that do not go together.
    """
    settings = {key: _tuples(value) for key, value in spec.items() if key != "pattern"}
    kind = NAMES.get(str(spec.get("pattern")))
    if kind is None:
        raise FormatError(f"pattern {spec.get('pattern')!r} is unknown: give one of {', '.join(NAMES)}")
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if set(settings) - known:
        raise FormatError(f"pattern {spec['pattern']} has no {sorted(set(settings) - known)}: it has {sorted(known)}")
    try:
        return kind(**settings)
    except TypeError as error:
        raise FormatError(f"pattern {spec['pattern']}: {error}") from None


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value

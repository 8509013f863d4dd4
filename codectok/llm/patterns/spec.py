"""Patterns as JSON: for a dataset's description, a request to a server, a command line."""

from __future__ import annotations

import dataclasses
from typing import Any

from codectok import registry
from codectok.llm.patterns.pattern import Pattern
from codectok.settings.build import build_from

PATTERNS: registry.Table[type[Pattern]] = registry.Table("patterns")
"""Dataclasses after :class:`Pattern`, by the name that a dataset's description gives."""


def to_dict(pattern: Pattern) -> dict[str, Any]:
    """The pattern's name and its settings, ready for JSON.

    Raises:
        UnknownNameError: a class that no name of the kind ``patterns`` opens.

    >>> from codectok.llm.patterns import Delay
    >>> to_dict(Delay((0, 1, 1), lead=1))
    {'pattern': 'delay', 'delays': (0, 1, 1), 'lead': 1, 'tail': 'extend', 'ends': False}
    """
    return {"pattern": registry.name_of("patterns", type(pattern)), **dataclasses.asdict(pattern)}  # type: ignore[call-overload]


def from_dict(spec: dict[str, Any]) -> Pattern:
    """The inverse of ``to_dict``; lists count as tuples, settings left out have their defaults.

    Raises:
        UnknownNameError: an unknown name.
        FormatError: an unknown setting, one of another type, or settings that do not go together.
    """
    settings = {key: value for key, value in spec.items() if key != "pattern"}
    return build_from(PATTERNS[str(spec.get("pattern"))], settings, f"pattern {spec['pattern']}")

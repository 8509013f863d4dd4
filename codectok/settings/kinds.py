"""Names for the kinds of numbers that settings are, and for lists that may be given as their only item."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

Count = Annotated[int, Ge(1)]
"""1 or more."""
Natural = Annotated[int, Ge(0)]
"""0 or more."""
Positive = Annotated[float, Gt(0)]
"""Above 0."""
NotNegative = Annotated[float, Ge(0)]
"""0 or more."""
Share = Annotated[float, Ge(0), Le(1)]
"""From 0 to 1."""


class OneOf:
    """Metadata of a field ``str``: one of some names, as of a kind of the registry.

    Args:
        names: that are allowed.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.literal_schema(self.names)


def one_or_more(item: Any) -> Any:
    """Metadata of a field ``list[item]``: its only item may be given in place of the list, and "" for none."""
    from pydantic import BeforeValidator

    def listed(value: Any) -> Any:
        return [] if value == "" else value if isinstance(value, list) else [value]

    return BeforeValidator(listed, json_schema_input_type=item | list[item])

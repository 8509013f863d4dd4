"""Streaming states are trees of dicts, lists and tuples with tensors at the leaves, batch first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor


def tree_map(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """Apply ``function`` to the tensors at the same place of each tree; anything else is kept from the first."""
    if isinstance(first, Tensor):
        return function(first, *others)
    if isinstance(first, dict):
        return {k: tree_map(function, v, *(o[k] for o in others)) for k, v in first.items()}
    if isinstance(first, (list, tuple)):
        return type(first)(tree_map(function, *items) for items in zip(first, *others, strict=True))
    return first


def take_rows(state: Any, rows: Sequence[int]) -> Any:
    """The state of some items of a batch."""
    return tree_map(lambda t: t[list(rows)], state)

"""Markers in a run of ids."""

from __future__ import annotations

from collections.abc import Mapping

from codectok.llm.vocab.tags import Mark


def in_a_row(first_id: int, tokens: Mapping[str, str], kind: str = "marker") -> tuple[Mark, ...]:
    """Marks of role -> token, with ids from ``first_id`` on."""
    return tuple(Mark(role, token, first_id + i, kind) for i, (role, token) in enumerate(tokens.items()))

"""Patterns of file names with braces, written out as the shell does."""

from __future__ import annotations

import re

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expand_braces(pattern: str) -> list[str]:
    """``{000..009}``, ``{9..0}``, ``{a,b}`` and what mixes them (``{0..3,7}``), in the order written."""
    braces = _BRACES.search(pattern)
    if braces is None:
        return [pattern]
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    options = [option for part in braces[1].split(",") for option in _numbers(part)]
    return [whole for option in options for whole in expand_braces(before + option + after)]


def _numbers(part: str) -> list[str]:
    span = _RANGE.fullmatch(part)
    if span is None:
        return [part]
    first, last = int(span[1]), int(span[2])
    step = 1 if last >= first else -1
    return [f"{n:0{len(span[1])}d}" for n in range(first, last + step, step)]

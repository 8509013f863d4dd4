"""Patterns of file names with braces, written out as the shell does."""

from __future__ import annotations

import re
from itertools import islice

from braceexpand import braceexpand

from codectok.errors import FormatError

MOST = 1_000_000
"""Names that one pattern may stand for."""
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_AMONG_OTHERS = re.compile(r"(?<=,)\d+\.\.\d+(?=[,}])|(?<=\{)\d+\.\.\d+(?=,)")


def expand_braces(pattern: str) -> list[str]:
    """``{000..009}``, ``{9..0}``, ``{a,b}``, what nests them, and ``{0..3,7}``, in the order written.

    A brace that is not closed is one of the name.

    Raises:
        FormatError: more than ``MOST`` names.
    """
    names: list[str] = []
    nested = _AMONG_OTHERS.sub(r"{\g<0>}", pattern)  # a shell would take the range in {0..3,7} for a name
    try:
        if all(abs(int(a) - int(b)) < MOST for a, b in _RANGE.findall(pattern)):
            names = list(islice(braceexpand(nested, escape=False), MOST + 1))
    except ValueError:  # braces that do not match
        return [pattern]
    if not 0 < len(names) <= MOST:
        raise FormatError(f"{pattern} stands for more than {MOST:,} files: give a shorter range, or a list of files")
    return names

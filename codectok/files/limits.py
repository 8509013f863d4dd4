"""What a file of some bytes may ask for in memory: limits that are far above real data, each raised by its name.

A name is that of an environment variable, so that it can be raised for one command and in its worker processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TextIO

from codectok.errors import FormatError

MAX_CODES = ("CODECTOK_MAX_CODES", 2**28)
"""Codes that merged runs may stand for, frames times codebooks: 2 GiB; 83 hours of 12 codebooks at 75 frames/s."""
MAX_LINE = ("CODECTOK_MAX_LINE", 2**28)
"""Characters of one line of a manifest."""
MAX_ARRAY = ("CODECTOK_MAX_ARRAY", 2**30)
"""Bytes of an array or archive of another project's: 65,536 centroids of 4,096 numbers, in float32."""


def most(limit: tuple[str, int]) -> int:
    """The limit, as it is or as its variable says; a value that is no whole number counts for none."""
    name, default = limit
    given = os.environ.get(name, "")
    return int(given) if given.isdecimal() and len(given) < 19 else default


def to_raise(limit: tuple[str, int]) -> str:
    """What to do about a limit, for messages."""
    return f"do not trust it, or raise the limit with {limit[0]}=N in the environment"


def check_frames(num_codebooks: int, num_frames: int) -> None:
    """Refuse to write out runs of a small file that stand for more than memory holds.

    Raises:
        FormatError: more codes than ``MAX_CODES``.
    """
    if num_codebooks * num_frames > most(MAX_CODES):
        raise FormatError(
            f"runs that stand for {num_frames} frames of {num_codebooks} codebooks are more than {most(MAX_CODES)} "
            f"codes: {to_raise(MAX_CODES)}"
        )


def bounded_lines(file: TextIO, source: object) -> Iterator[str]:
    """The lines of a text file, none of them read beyond ``MAX_LINE``: a small gzip file may hold one without end.

    Raises:
        FormatError: a longer line.
    """
    longest = most(MAX_LINE)
    while line := file.readline(longest + 1):
        if len(line) > longest:
            raise FormatError(f"{source} has a line of more than {longest} characters: {to_raise(MAX_LINE)}")
        yield line

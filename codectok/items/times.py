"""Columns that say when an utterance begins and ends in its file, whatever they are called and whatever their unit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

_KINDS = {
    **dict.fromkeys(("offset", "start", "begin", "onset"), "start"),
    **dict.fromkeys(("end", "stop"), "end"),
    **dict.fromkeys(("duration", "dur", "length", "len"), "duration"),
}
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("sample", "samples"), "samples"),
}
_OTHER_UNITS = frozenset("frame frames us ns usec nsec m min mins minute minutes h hour hours ts timestamp".split())  # noqa: SIM905
"""Known as units, so that a column in them is a time, but not read."""
_FILLING = frozenset(["time", "in", "at", "audio", "clip", "segment", "seg", "utterance", "utt"])
_BARE_LENGTH = ("length", "len")
"""Of what, and in which unit, these do not say."""
SLACK = Decimal("0.02")
"""Seconds by which columns that say the same may differ: each is rounded by itself."""


class BadTime(ValueError):
    """What is wrong with the times of a line, to be said behind its number."""


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """A column that holds a time.

    Attributes:
        name: as it is written.
        kind: "start", "end" or "duration".
        unit: "s", "ms" or "samples"; "" where the name does not tell.
    """

    name: str
    kind: str
    unit: str


def time_column(name: str) -> TimeColumn | None:
    """What a column's name says of a time; None if it is none.

    >>> time_column("start_ms"), time_column("text_length")
    (TimeColumn(name='start_ms', kind='start', unit='ms'), None)
    """
    words = re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    kinds = {_KINDS[w] for w in words if w in _KINDS}
    rest = [w for w in words if w not in _KINDS and w not in _FILLING]
    if len(kinds) != 1 or not all(w in _UNITS or w in _OTHER_UNITS for w in rest):
        return None
    kind = kinds.pop()
    if not rest:
        return TimeColumn(name, kind, "" if any(w in _BARE_LENGTH for w in words) else "s")
    return TimeColumn(name, kind, _UNITS.get(rest[0], "") if len(rest) == 1 else "")


def is_time(column: TimeColumn, value: Any) -> bool:
    """Whether a value of such a column is a time, or was meant as one; words, lists and objects are labels."""
    if column.name in ("offset", "duration"):
        return value not in (None, "")
    if isinstance(value, str):
        return re.fullmatch(r"\s*[-+]?[\d.][\d.:,eE+-]*\s*", value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def offset_and_duration(
    columns: Sequence[TimeColumn], entry: Mapping[str, Any], rate: Callable[[], float | None]
) -> tuple[float | None, float | None]:
    """Start and length of an item in seconds; None is the start, and the end, of its file.

    Args:
        columns: of the line's manifest.
        entry: the line.
        rate: gives the rate that counts of samples are at, in Hz; None where it cannot be told, which leaves the item
            whole: what is wrong with its file is said when that is read.

    Raises:
        BadTime: a value that is no time, of an unknown unit, or that another column contradicts.
    """
    found: dict[str, tuple[str, Decimal]] = {}
    for column in columns:
        value = entry.get(column.name)
        if not is_time(column, value):
            continue
        seconds = _seconds(column, value, rate)
        if seconds is None:
            return None, None
        name, before = found.setdefault(column.kind, (column.name, seconds))
        if abs(before - seconds) > SLACK:
            raise BadTime(f"has {name} {entry[name]!r} and {column.name} {value!r}, which differ: keep one of them")
    start = found["start"][1] if "start" in found else None
    if "end" in found:
        name, end = found["end"]
        length = end - (start or 0)
        if length <= 0:
            raise BadTime(f"has {name} {entry[name]!r}, which is not after its start: correct it")
        other, given = found.setdefault("duration", (name, length))
        if abs(given - length) > SLACK:
            raise BadTime(f"has {name} {entry[name]!r} and {other} {entry[other]!r}, which differ: keep one of them")
    if "duration" not in found:
        return _as_float(start), None
    name, duration = found["duration"]
    if duration == 0:
        raise BadTime(f"has {name} 0: leave it out for the whole file")
    return _as_float(start), float(duration)


def _as_float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _seconds(column: TimeColumn, value: Any, rate: Callable[[], float | None]) -> Decimal | None:
    if not column.unit:
        raise BadTime(
            f"has {column.name} {value!r}, which looks like a time of unknown unit: call the column "
            f"{column.kind} (seconds), {column.kind}_ms or {column.kind}_samples, or leave it out"
        )
    try:
        number = Decimal(str(value).strip())
        valid = number.is_finite() and number >= 0 and math.isfinite(float(number))
    except InvalidOperation:
        valid = False
    if not valid:
        unit = {"s": "seconds", "ms": "milliseconds"}.get(column.unit, column.unit)
        raise BadTime(f"has {column.name} {value!r}: expected {unit}, 0 or more")
    if column.unit == "samples":
        hertz = rate()
        return None if hertz is None else number / Decimal(str(hertz))
    return number / 1000 if column.unit == "ms" else number

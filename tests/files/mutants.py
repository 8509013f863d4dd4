"""Damaged and hostile copies of JSON (values of other types, huge numbers, deep nesting), and of any file."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

HUGE = (2**31, 10**12, 10**18, -(2**63), 10**4000, 1e308, float("nan"), float("inf"))
ODD: tuple[Any, ...] = (
    None,
    True,
    "",
    "x",
    "../../etc",
    "a\0b",
    [],
    {},
    -1,
    0,
    1,
    1.5,
    [1, "a"],
    [[]],
    {"a": {}},
    [None],
    300,
    70000,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values within, the whole first."""
    found = [at]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, held in pairs:
        found += places(held, (*at, key))
    return found


def mutant(value: Any, rng: random.Random) -> str:
    """The text of one mutant of a JSON value."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        *above, last = rng.choice([p for p in places(value) if p] or [("x",)])
        held = value
        for key in above:
            held = held[key]
        if not isinstance(held, dict | list) or (isinstance(held, dict) and last not in held):
            continue
        old, kind = held[last], rng.randrange(8)
        if kind == 0:
            del held[last]
        elif kind == 1 and isinstance(old, list):
            held[last] = old * rng.choice((2, 1000))
        elif kind == 2 and isinstance(old, int | float):
            held[last] = old * rng.choice((2, 1000, 10**6, -1))
        elif kind == 3 and isinstance(held, dict):
            held["unknown"] = copy.deepcopy(rng.choice(ODD))
        else:
            held[last] = copy.deepcopy(rng.choice(HUGE if kind in (4, 5) else ODD))
    text = json.dumps(value, default=str) if not _long(value) else _spelled(value)
    if rng.random() < 0.15:
        at = rng.randrange(len(text))
        deep = rng.choice((30, 100_000))
        text = rng.choice(
            (text[:at], text[:at] + rng.choice('{}[]",:\0é') + text[at + 1 :], text[:at] + "[" * deep, '{"a":' * deep)
        )
    return text


def _long(value: Any) -> bool:
    return any(isinstance(v, int) and abs(v) >= 10**4000 for v in _values(value))


def _values(value: Any) -> list[Any]:
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(v for h in held for v in _values(h))]


def _spelled(value: Any) -> str:
    """JSON with numbers that Python does not print: over 4,300 digits are an error there."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(k))}: {_spelled(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_spelled, value)) + "]"
    return "1" + "0" * 5000 if isinstance(value, int) and abs(value) >= 10**4000 else json.dumps(value)


VALUES = (0, 1, 255, 10**7, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
"""Numbers that headers are given."""


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """With a byte or number changed, or bytes taken out or put in; mostly in the header."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        out = out or bytearray(b"x")
        at = rng.randrange(min(len(out), rng.choice((64, 256, len(out)))))
        kind = rng.randrange(4)
        if kind == 0:
            out[at] = rng.randrange(256)
        elif kind == 1:
            width = rng.choice((1, 2, 4, 8))
            order = rng.choice(("little", "big"))
            out[at : at + width] = (rng.choice(VALUES) % 256**width).to_bytes(width, order)
        elif kind == 2:
            del out[at : at + rng.randrange(1, 2000)]
        else:
            out[at:at] = rng.randbytes(rng.randrange(1, 2000))
    return bytes(out) or b"x"

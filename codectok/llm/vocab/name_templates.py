"""Names of audio tokens: one template gives them all, and reads them back.

Fields of a template: {k} codebook, {c} code, {n} number of the token (codes of all codebooks counted on), {char} the
Unicode character of that number (codec-bpe). Names are made to register tokens and to show ids; sequences are built
from ids by arithmetic, never by pasting names together.
"""

from __future__ import annotations

import re
from functools import lru_cache
from string import Formatter

from codectok.errors import FormatError

FIELDS = ("k", "c", "n", "char")
SURROGATES = range(0xD800, 0xE000)


def check_template(template: str) -> tuple[str, ...]:
    """The fields of a template.

    Raises:
        FormatError: an unknown field, no number at all, or names of which one could begin another.
    """
    parts = list(Formatter().parse(template))
    fields = tuple(field for _, field, _, _ in parts if field is not None)
    if any(field not in FIELDS or spec or conv for _, field, spec, conv in parts if field is not None):
        raise FormatError(f"name template {template!r}: the fields are {{k}}, {{c}}, {{n}} and {{char}}")
    if not set(fields) & {"c", "n", "char"}:
        raise FormatError(f"name template {template!r} names no code: use {{c}} or {{n}}")
    if fields == ("char",):
        return fields
    # <c1_1 would begin <c1_12: tokens are found leftmost-longest, so the second would be read for the first.
    if parts[-1][1] is not None:
        raise FormatError(f"name template {template!r} must end in a fixed character, as '|>' does")
    for literal, field, _, _ in parts[1:]:
        if not literal or literal[0].isdigit() or (field is not None and literal[-1].isdigit()):
            raise FormatError(f"name template {template!r}: digits of two numbers would run into each other")
    return fields


def token_name(template: str, codebook: int, code: int, number: int) -> str:
    """The name of one token."""
    char = chr(number) if "{char}" in template else ""
    return template.format(k=codebook, c=code, n=number, char=char)


@lru_cache(maxsize=256)
def _pattern(template: str) -> re.Pattern[str]:
    found, seen = "", set[str]()
    for literal, field, _, _ in Formatter().parse(template):
        found += re.escape(literal)
        if field is None:
            continue
        number = "." if field == "char" else "0|[1-9][0-9]{0,9}"  # bounded: user text may spell any number of digits
        found += f"(?P={field})" if field in seen else f"(?P<{field}>{number})"
        seen.add(field)
    return re.compile(found, re.DOTALL)


def read_name(template: str, token: str) -> dict[str, int] | None:
    """The numbers in a token's name, or None if it is not of this template."""
    match = _pattern(template).fullmatch(token)
    if match is None:
        return None
    found = match.groupdict()
    return {"n": ord(found.pop("char"))} if "char" in found else {key: int(value) for key, value in found.items()}

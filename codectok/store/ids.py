"""Ids where a format cannot hold every character: percent-escaped, so that any id can be read back."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

LINE_ENDS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
"""Control characters and all that some reader takes for the end of a line, for use in a character class."""
WHITE_SPACE = r"\s"
"""All that ``str.split()`` splits at."""
ODD_PATHS = r"^/|/$|(?<=/)/|(?:(?<=^)|(?<=/))\.(?=/|$)"
"""What a path loses when it is normalised: ``/`` at the ends or doubled, ``.`` as a folder."""


class IdEscape:
    """Ids without some characters.

    ``escape`` spells these as ``%XX`` of their UTF-8 bytes, and a ``%`` only where two hexadecimal digits follow it: an
    id of letters, digits and common punctuation stays as it is. ``restore`` is the exact inverse.

    Args:
        characters: inside of a regular expression's character class, escaped beside ``LINE_ENDS``.
        pattern: regular expression of further places to escape.
    """

    def __init__(self, characters: str = "", pattern: str | None = None) -> None:
        parts = [rf"[{LINE_ENDS}{characters}]", r"%(?=[0-9A-Fa-f]{2})", *([pattern] if pattern else [])]
        self._bad = re.compile("|".join(parts))

    def escape(self, id: str) -> str:
        """The id as it is written."""
        return self._bad.sub(lambda match: _spell(match[0]), id)

    def restore(self, text: str) -> str:
        """The id that was written as ``text``."""
        return unquote(text, errors="strict") if "%" in text else text


def _spell(text: str) -> str:
    """``quote`` leaves letters, digits and ``_.-~`` as they are."""
    return "".join(f"%{ord(c):02X}" if (quoted := quote(c, safe="")) == c else quoted for c in text)

"""Prompts as they are said: lower-case letters and apostrophes."""

from __future__ import annotations

import re

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATES = (4.0, 24.0)
"""Letters per second that speech has: a listing that says far more or less than its recording is left out."""


def spoken(transcript: str, seconds: float) -> str:
    """Lower-case words of an English listing, single digits spelled; "" where it cannot be what is said.

    That is: longer numbers, abbreviations in capitals, brackets and other signs, or letters out of all proportion
    to ``seconds``.
    """
    words = []
    for word in re.sub(r"[.,;:!?\"]|-+|\.\.\.", " ", transcript.replace("\u2019", "'")).split():
        if re.fullmatch(r"\d", word):
            word = DIGITS[int(word)]
        if not re.fullmatch(r"[A-Za-z]+('[A-Za-z]+)*'?", word) or (len(word) > 1 and word.isupper()):
            return ""
        words.append(word.lower())
    text = " ".join(words)
    return text if RATES[0] <= len(text) / seconds <= RATES[1] else ""

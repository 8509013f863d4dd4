"""Word and character error rates: how much of what was said survives.

A corpus has one rate: the edits of all clips over the length of all references (never the mean of the clips' rates,
in which a one-word clip weighs as much as a long one). The reference is a transcript, or the same recogniser's
transcript of the original recording: the dWER and dCER of the codec literature, which leave the recogniser's own
errors out. What a recogniser gets wrong on the original counts as right there: give both where there are transcripts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codectok.metrics.bootstrap import Interval, bootstrap_ratio
from codectok.metrics.registry import MetricUnavailable


@dataclass(frozen=True)
class Edits:
    """The fewest edits that turn a reference into a hypothesis, of one clip or summed over many (``a + b``).

    Attributes:
        substitutions, insertions, deletions: words or characters.
        length: words or characters of the reference.
    """

    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0
    length: int = 0

    @property
    def total(self) -> int:
        """All edits."""
        return self.substitutions + self.insertions + self.deletions

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            self.substitutions + other.substitutions,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.length + other.length,
        )


def normalise(text: str) -> str:
    """Text as it is compared: lower case, no punctuation, single spaces. Any script; it speaks no language.

    In this order: compatibility composition (NFKC: an accent typed apart equals the accented letter), case folding;
    format and control characters (Unicode Cf, Cc; not white space) removed; punctuation and symbols (P*, S*) to spaces,
    so that ``l'eau`` is two words; composition again; runs of white space to one space. Accents, stress marks and
    digits stay: ``e`` is not ``é``, ``12`` is not ``twelve``.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(_plain(character) for character in folded)
    return " ".join(unicodedata.normalize("NFKC", kept).split())


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] in "PS":
        return " "
    return "" if category in ("Cf", "Cc") and not character.isspace() else character


def word_edits(reference: str, hypothesis: str) -> Edits:
    """Edits of words, after :func:`normalise`. Of no use in a script that puts no spaces between words.

    An empty reference has length 0, and each word of the hypothesis is an insertion.

    Raises:
        MetricUnavailable: the package ``jiwer`` is missing.
    """
    return _edits(reference, hypothesis, "process_words")


def character_edits(reference: str, hypothesis: str) -> Edits:
    """Edits of characters, after :func:`normalise`; the space between two words is one. Raises as word_edits does."""
    return _edits(reference, hypothesis, "process_characters")


def _edits(reference: str, hypothesis: str, function: str) -> Edits:
    try:
        import jiwer
    except ImportError as error:
        raise MetricUnavailable("jiwer is not installed: pip install 'codectok[bench]'") from error
    found: Any = getattr(jiwer, function)(normalise(reference), normalise(hypothesis))
    length = found.hits + found.substitutions + found.deletions
    return Edits(found.substitutions, found.insertions, found.deletions, length)


def error_rate(
    edits: Sequence[Edits],
    *,
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Error rate of a corpus from the edits of each clip (1.0 is 100 %; insertions can take it above).

    The interval is the percentile bootstrap over clips, of the ratio of the two sums (Bisani and Ney 2004); with
    ``clusters`` (one a clip, such as its speaker) these are drawn.

    Raises:
        MetricError: no clips, or no reference has anything in it.
    """
    totals = np.array([e.total for e in edits], dtype=np.float64)
    lengths = np.array([e.length for e in edits], dtype=np.float64)
    return bootstrap_ratio(totals, lengths, clusters=clusters, confidence=confidence, resamples=resamples, seed=seed)

"""Word and character error rates: how much of what was said survives.

A corpus has one rate: the edits of all clips over the length of all references (never the mean of the clips' rates,
in which a one-word clip weighs as much as a long one). The reference is a transcript, or the same recogniser's
transcript of the original recording: the dWER and dCER of the codec literature, which leave the recogniser's own
errors out. What a recogniser gets wrong on the original counts as right there: give both where there are transcripts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codectok.metrics.bootstrap import Interval
from codectok.metrics.registry import MetricError, MetricUnavailable


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


def error_rate(edits: Sequence[Edits], *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Error rate of a corpus from the edits of each clip (1.0 is 100 %; insertions can take it above).

    The interval is the percentile bootstrap over clips, of the ratio of the two sums (Bisani and Ney 2004).

    Raises:
        MetricError: no clips, or no reference has anything in it.
    """
    totals = np.array([e.total for e in edits], dtype=np.float64)
    lengths = np.array([e.length for e in edits], dtype=np.float64)
    return bootstrap_ratio(totals, lengths, confidence=confidence, resamples=resamples, seed=seed)


def bootstrap_ratio(
    above: Sequence[float] | np.ndarray,
    below: Sequence[float] | np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """``sum(above) / sum(below)`` over clips, with its percentile bootstrap interval (clips drawn with both values).

    Args:
        above: one finite value a clip [n].
        below: one value >= 0 a clip [n]; draws in which they sum to 0 are left out, for their ratio is undefined.
        confidence: of the interval.
        resamples: draws of n clips.
        seed: of the draws; the same values and seed give the same interval on every machine.

    Raises:
        MetricError: no clips, unequal lengths, a value that cannot be used, or all of ``below`` is 0.
    """
    top, bottom = (np.asarray(x, dtype=np.float64) for x in (above, below))
    if top.ndim != 1 or top.shape != bottom.shape or not top.size:
        raise MetricError("a ratio over clips needs two values a clip, of one clip at least")
    if not (np.isfinite(top).all() and np.isfinite(bottom).all() and (bottom >= 0).all()):
        raise MetricError("a value is NaN, infinite, or a negative length: leave failed clips out and count them")
    if not bottom.sum():
        raise MetricError("every reference is empty: there is nothing to take an error rate of")
    ratio = float(top.sum() / bottom.sum())
    if top.size == 1:
        return Interval(ratio, None, None, 1)
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, top.size, top.size) for _ in range(resamples))
    sums = np.array([(top[draw].sum(), bottom[draw].sum()) for draw in draws])
    sums = sums[sums[:, 1] > 0]
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [tail, 1.0 - tail])
    return Interval(ratio, float(low), float(high), int(top.size))

"""Scores of written answers, of a whole test set: WER, CER and PER of transcripts, BLEU of translations.

WER and CER compare as :mod:`codectok.metrics.intelligibility` says (normalised, corpus-level); a transcript that is
empty has length 0, and each word answered to it is an insertion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codectok.metrics.intelligibility import Edits, character_edits, word_edits
from codectok.metrics.registry import MetricError, MetricUnavailable


def wer(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Word error rate: edits of all clips over words of all references, in %; insertions can take it above 100.

    Raises:
        MetricError: not one hypothesis a reference, or no reference has a word.
        MetricUnavailable: ``jiwer`` is missing.
    """
    return rate([word_edits(r, h) for r, h in _pairs(references, hypotheses)])


def cer(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Character error rate, in %; the space between two words is a character. Raises as :func:`wer` does."""
    return rate([character_edits(r, h) for r, h in _pairs(references, hypotheses)])


def per(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Phone error rate of phones parted by spaces, in %. Raises as :func:`wer` does."""
    return rate([phone_edits(r, h) for r, h in _pairs(references, hypotheses)])


def bleu(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Corpus BLEU, 0 to 100, as sacrebleu computes it by default (13a words, case kept; Post 2018).

    Raises:
        MetricError: not one hypothesis a reference, or none at all.
        MetricUnavailable: ``sacrebleu`` is missing.
    """
    pairs = _pairs(references, hypotheses)
    if not pairs:
        raise MetricError("BLEU needs one translation at least")
    try:
        import sacrebleu
    except ImportError as error:
        raise MetricUnavailable("sacrebleu is not installed: pip install sacrebleu") from error
    return float(sacrebleu.corpus_bleu([h for _, h in pairs], [[r for r, _ in pairs]]).score)


def phone_edits(reference: str, hypothesis: str) -> Edits:
    """Edits of phones parted by spaces, compared as they are written: ``AH0`` is not ``AH1``.

    Raises:
        MetricUnavailable: ``jiwer`` is missing.
    """
    try:
        import jiwer
    except ImportError as error:
        raise MetricUnavailable("jiwer is not installed: pip install 'codectok[bench]'") from error
    found: Any = jiwer.process_words(" ".join(reference.split()), " ".join(hypothesis.split()))
    length = found.hits + found.substitutions + found.deletions
    return Edits(found.substitutions, found.insertions, found.deletions, length)


def rate(edits: Sequence[Edits]) -> float:
    """Edits of all clips over the length of all references, in %.

    Raises:
        MetricError: nothing was said in any.
    """
    length = sum(e.length for e in edits)
    if not length:
        raise MetricError("every reference is empty: there is nothing to take an error rate of")
    return 100 * sum(e.total for e in edits) / length


def _pairs(references: Sequence[str], hypotheses: Sequence[str]) -> list[tuple[str, str]]:
    if len(references) != len(hypotheses):
        raise MetricError(f"{len(hypotheses)} hypotheses for {len(references)} references: give one each")
    return list(zip(references, hypotheses, strict=True))

"""Accuracy over pairs: a model should find the right one of two utterances likelier, as sWUGGY and sBLIMP ask.

A table has a row a pair. With ``context`` both are endings of it, as in the spoken StoryCloze of TWIST (Hassid et al.,
2023): tStoryCloze, whose wrong ending is of another topic, and sStoryCloze are the same measure on other files. sWUGGY
(words and made-up words) and sBLIMP (grammatical sentences) are of the ZeroSpeech challenge (Nguyen et al., 2020).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codectok.errors import FormatError
from codectok.items.tables import table_rows
from codectok.llm.scores.likelihood import SpeechLM
from codectok.tokens import Tokens


@dataclass(frozen=True)
class SpokenPair:
    """Two utterances, the right one first, as paths of audio files.

    Attributes:
        id: by which failures are listed.
        good: what is a word, a sentence, a fitting end.
        bad: what is none.
        context: what both follow, if anything.
        group: a kind of pair, such as a phenomenon of grammar, that is counted by itself too.
    """

    id: str
    good: Path
    bad: Path
    context: Path | None = None
    group: str = ""


@dataclass(frozen=True)
class PairScore:
    """Of one pair.

    Attributes:
        total: 1 where the right one is likelier as a whole, 0 where the wrong one is, .5 where both are alike;
        mean: and by the mean of its tokens, which does not favour what is short.
    """

    total: float
    mean: float


def read_pairs(path: str | os.PathLike[str]) -> list[SpokenPair]:
    """Pairs of a CSV or TSV with the columns good and bad, and id, context and group where it has them.

    Paths are relative to the table's folder.

    Raises:
        FormatError: no such columns, a row without one of both, or no rows.
    """
    source = Path(path)
    pairs = list(_pairs(source))
    if not pairs:
        raise FormatError(f"{source} has no pairs: give a table with the columns good and bad", path=source)
    return pairs


def _pairs(source: Path) -> Iterator[SpokenPair]:
    for line, row in table_rows(source, ("good", "bad")):
        if not row["good"] or not row["bad"]:
            raise FormatError(f"line {line} of {source} lacks good or bad: give a path in both", path=source)
        context = source.parent / row["context"] if row.get("context") else None
        yield SpokenPair(
            row.get("id") or row["good"],
            source.parent / row["good"],
            source.parent / row["bad"],
            context,
            row.get("group", ""),
        )


def score_pair(lm: SpeechLM, pair: SpokenPair) -> PairScore:
    """Which of the two the model prefers.

    Raises:
        AudioError: a file that cannot be read.
        FormatError: an utterance that is too long for the model.
    """
    context = None if pair.context is None else lm.encode(pair.context)
    good, bad = (_log_probs(lm, lm.encode(path), context) for path in (pair.good, pair.bad))
    return PairScore(_prefers(good[0], bad[0]), _prefers(good[1], bad[1]))


def _log_probs(lm: SpeechLM, tokens: Tokens, context: Tokens | None) -> tuple[float, float]:
    found = lm.of_speech(tokens, context).double()
    return float(found.sum()), float(found.mean())


def _prefers(good: float, bad: float) -> float:
    return 0.5 if good == bad else float(good > bad)

"""Training BPE over units.

It takes the commonest pair each time, of equal counts that of the lowest ids: the same data gives the same merges, and
the merges for a smaller vocabulary are the first of those for a larger one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from codectok.errors import CodectokError, CodeRangeError, FingerprintError
from codectok.fingerprint import same
from codectok.tokens import Tokens
from codectok.transforms.code_orders import arrange, check_pattern, words
from codectok.transforms.unit_bpe import UnitBPE
from kmeans_units.merge_training import learn_merges


def train_bpe(
    tokens: Iterable[Tokens],
    vocab_size: int,
    *,
    pattern: str | None = None,
    dedup: bool | None = None,
    min_frequency: int = 2,
    trained_on: Mapping[str, Any] | None = None,
) -> UnitBPE:
    """Train BPE on some utterances' tokens: those of the training split only, which is for the caller to see to.

    Args:
        tokens: of one tokenizer, all with as many codebooks; deduplicated or not.
        vocab_size: V, symbols and merges; smaller vocabularies are ``truncate(V)`` of the result.
        pattern: default ``single`` for one codebook, ``flatten`` for several.
        dedup: merge runs of equal frames first; default for one codebook only.
        min_frequency: of a pair that is merged.
        trained_on: kept with the BPE; the counts of utterances, seconds and symbols are added to it.

    Raises:
        CodectokError: no tokens, no room for merges, or too little data for so many.
        FingerprintError: tokens of several tokenizers.
        CodeRangeError: tokens of several numbers of codebooks.
    """
    first, pieces, utterances, seconds, symbols = None, [], 0, 0.0, 0
    runs = RunLengths()
    for utterance in tokens:
        if first is None:
            first = utterance
            single = first.num_codebooks == 1
            pattern = pattern or ("single" if single else "flatten")
            dedup = single if dedup is None else dedup
            check_pattern(pattern, first.num_codebooks)
        _check_alike(first, utterance)
        seen = utterance.dedup() if dedup else utterance.expand()
        arranged = arrange(seen.codes.numpy(), first.codebook_sizes, pattern or "").astype(np.int32)
        runs.add(arranged, seen)
        pieces += words(arranged, first.num_codebooks, pattern or "")
        utterances, seconds, symbols = utterances + 1, seconds + utterance.duration, symbols + len(arranged)
    if first is None:
        raise CodectokError("there are no tokens to train BPE on")
    facts = {"utterances": utterances, "seconds": round(seconds, 2), "symbols": symbols, "min_frequency": min_frequency}
    return UnitBPE(
        first.codebook_sizes,
        train_merges(pieces, sum(first.codebook_sizes), vocab_size, min_frequency=min_frequency),
        pattern=pattern or "",
        dedup=bool(dedup),
        tokenizer_fingerprint=first.fingerprint,
        trained_on={**(trained_on or {}), **facts},
        mean_durations=runs.means(sum(first.codebook_sizes)),
    )


class RunLengths:
    """How long the runs of each symbol of a single codebook are, over the utterances that are added."""

    def __init__(self) -> None:
        self._symbols: list[np.ndarray] = []
        self._durations: list[np.ndarray] = []

    def add(self, symbols: np.ndarray, seen: Tokens) -> None:
        """Count an utterance; nothing of one whose runs are not merged."""
        if seen.durations is not None and seen.num_codebooks == 1:
            self._symbols.append(symbols)
            self._durations.append(seen.durations.numpy())

    def means(self, num_symbols: int) -> list[float] | None:
        """Frames of a run, [n], of symbols that never came up the mean of all; None where nothing was counted."""
        if not sum(map(len, self._symbols)):
            return None
        symbols, durations = np.concatenate(self._symbols), np.concatenate(self._durations)
        counts, sums = np.bincount(symbols, minlength=num_symbols), np.bincount(symbols, durations, num_symbols)
        found: list[float] = np.where(counts, sums / np.maximum(counts, 1), durations.mean()).tolist()
        return found


def train_merges(
    sequences: Sequence[np.ndarray], num_symbols: int, vocab_size: int, *, min_frequency: int = 2
) -> np.ndarray:
    """Merges, int64 [vocab_size - num_symbols, 2], of sequences of symbols, int [N] each.

    Raises:
        CodectokError: no room for merges, or too little data for so many.
    """
    if vocab_size <= num_symbols:
        raise CodectokError(
            f"a vocabulary of {vocab_size} leaves no room for merges: the {num_symbols} symbols alone are as many"
        )
    pairs = learn_merges(sequences, num_symbols, vocab_size - num_symbols, min_frequency)
    if len(pairs) < vocab_size - num_symbols:
        raise CodectokError(
            f"the data gives a vocabulary of {num_symbols + len(pairs)} at most, {vocab_size} asked for: pairs "
            f"that come up {min_frequency} times or more are used up; ask for that, or train on more"
        )
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _check_alike(first: Tokens, other: Tokens) -> None:
    if not same(other.fingerprint, first.fingerprint):
        raise FingerprintError(
            f"tokens of two tokenizers ({first.fingerprint} and {other.fingerprint}): train on those of one",
            wanted=first.fingerprint,
            found=other.fingerprint,
        )
    if other.codebook_sizes != first.codebook_sizes:
        raise CodeRangeError(
            f"some tokens have {first.num_codebooks} codebooks, others {other.num_codebooks}: choose how many with "
            "--codebooks"
        )

"""Training BPE over units with the tokenizers library.

The library is given text without a pre-tokenizer or normaliser, one character for each symbol that comes up, so that
any set of symbols will do. It takes the commonest pair each time, of equal counts that of the lowest ids: the same
data gives the same merges, and the merges for a smaller vocabulary are the first of those for a larger one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from codectok.errors import CodectokError, CodeRangeError, FingerprintError
from codectok.extras import need
from codectok.fingerprint import same
from codectok.tokens import Tokens
from codectok.transforms.code_orders import arrange, check_pattern, words
from codectok.transforms.unit_bpe import UnitBPE

CHARACTERS = np.setdiff1d(np.arange(0x110000, dtype=np.uint32), np.arange(0xD800, 0xE000, dtype=np.uint32))
"""Every code point that a string can hold: all but the surrogates."""


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
    )


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
    used = np.unique(np.concatenate([np.empty(0, np.int32), *sequences]))
    if len(used) > len(CHARACTERS):
        raise CodectokError(f"{len(used)} different symbols come up: BPE can be trained on {len(CHARACTERS)}")
    merges = _merges_of_library(sequences, used, len(used) + vocab_size - num_symbols, min_frequency)
    ids = {_text(np.array([i])): int(symbol) for i, symbol in enumerate(used)}
    pairs: list[tuple[int, int]] = []
    for left, right in merges:
        # Another way to spell a token that there is already adds nothing to the vocabulary: each merge here makes a
        # token of its own, which is what lets merges be applied to a whole batch at once.
        if left + right not in ids:
            ids[left + right] = num_symbols + len(pairs)
            pairs.append((ids[left], ids[right]))
    if len(pairs) < vocab_size - num_symbols:
        raise CodectokError(
            f"the data gives a vocabulary of {num_symbols + len(pairs)} at most, {vocab_size} asked for: pairs "
            f"that come up {min_frequency} times or more are used up; ask for that, or train on more"
        )
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _merges_of_library(
    sequences: Sequence[np.ndarray], used: np.ndarray, size: int, min_frequency: int
) -> list[tuple[str, str]]:
    need("training BPE needs", "units", "tokenizers")
    from tokenizers import Tokenizer, models, trainers

    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=min_frequency, special_tokens=[], show_progress=sys.stderr.isatty()
    )
    texts = (_text(np.searchsorted(used, s)) for s in sequences)
    tokenizer.train_from_iterator(texts, trainer, length=len(sequences))
    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def _text(places: np.ndarray) -> str:
    return CHARACTERS[places].astype("<u4").tobytes().decode("utf-32-le")


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

"""What deduplication and BPE save: tokens and bits per second of audio, at each vocabulary size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from codectok.tokens import Tokens
from codectok.transforms.unit_bpe import UnitBPE

BATCH = 1000
"""Utterances merged at a time."""


def bpe_table(bpe: UnitBPE, tokens: Sequence[Tokens], vocab_sizes: Sequence[int]) -> list[dict[str, Any]]:
    """A row for the frames' codes, one after deduplication (where the BPE deduplicates), one a vocabulary size.

    Bits are of the ids alone; durations, which deduplication keeps beside them, are not counted.

    Args:
        bpe: with the largest vocabulary.
        tokens: what to measure on: tokens of ``bpe``'s tokenizer.
        vocab_sizes: of which ``bpe`` is truncated to each.

    Returns:
        Rows of ``units``; ``vocabulary`` V, and how many of it are ``used``; ``tokens/s`` of audio; ``bits/s``, that
        times log2 V; ``entropy bits/s``, that times the entropy of the ids' counts; ``compression``, tokens of the
        frames for one token here.
    """
    seconds = sum(t.duration for t in tokens)
    symbols = bpe.truncate(bpe.num_symbols)
    frames = UnitBPE(
        bpe.codebook_sizes, [], pattern=bpe.pattern, dedup=False, tokenizer_fingerprint=bpe.tokenizer_fingerprint
    )
    stages = [("frames", frames)]
    stages += [("deduplicated", symbols)] if bpe.dedup else []
    stages += [(f"BPE {size}", bpe.truncate(size)) for size in vocab_sizes]
    rows: list[dict[str, Any]] = []
    for name, stage in stages:
        row = _row(name, stage.vocab_size, _counts(tokens, stage), seconds)
        rows.append(
            {**row, "compression": (rows[0] if rows else row)["tokens/s"] / row["tokens/s"] if row["tokens/s"] else 1.0}
        )
    return rows


def _counts(tokens: Sequence[Tokens], bpe: UnitBPE) -> np.ndarray:
    """How often each id that comes up does."""
    ids = [np.empty(0, np.int64)]
    for start in range(0, len(tokens), BATCH):
        ids += [merged.ids.numpy() for merged in bpe.encode_batch(tokens[start : start + BATCH])]
    return np.unique(np.concatenate(ids), return_counts=True)[1]


def _row(name: str, vocab_size: int, counts: np.ndarray, seconds: float) -> dict[str, Any]:
    total = int(counts.sum())
    rate = total / seconds if seconds else 0.0
    share = counts / max(1, total)
    return {
        "units": name,
        "vocabulary": vocab_size,
        "used": len(counts),
        "tokens/s": rate,
        "bits/s": rate * math.log2(vocab_size),
        "entropy bits/s": rate * max(0.0, float(-(share * np.log2(share)).sum())),
    }

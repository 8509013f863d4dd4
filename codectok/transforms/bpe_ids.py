"""Merges over integer symbols: sequences of symbols to sequences of ids, and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from codectok.errors import CodeRangeError, FormatError
from codectok.transforms.merging import Junctions, merge_all

BLOCK = 2**16
"""Symbols merged at a time: the work on them stays in cache."""
MAX_SYMBOLS = 2**31
"""As many as codes of a codebook can be; a pair of ids then fits in 64 bits."""
MAX_SPELLED = 2**26
"""Symbols that all tokens together may spell: each merge of a hostile file could double them."""


class Merges:
    """Symbols ``0..n - 1`` and merges; the merge of rank r makes the id ``n + r``.

    Args:
        num_symbols: n.
        pairs: int [M, 2], pairs of ids in order of rank.

    Raises:
        FormatError: a pair of ids that are not made before it, a pair twice, or tokens too long to be of any use.
    """

    def __init__(self, num_symbols: int, pairs: Any) -> None:
        self.num_symbols = num_symbols
        try:
            self.pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        except (ValueError, TypeError, OverflowError) as error:
            raise FormatError(f"merges are not pairs of integers: {error}") from None
        self.pairs.flags.writeable = False
        self.size = num_symbols + len(self.pairs)
        if num_symbols < 1 or self.size > MAX_SYMBOLS:
            raise FormatError(f"{num_symbols} symbols and {len(self.pairs)} merges: give 1 to 2^31 in all")
        late = (self.pairs < 0) | (self.pairs >= np.arange(num_symbols, self.size)[:, None])
        if late.any():
            rank = int(np.flatnonzero(late.any(1))[0])
            raise FormatError(f"merge {rank} is of {self.pairs[rank].tolist()}, which nothing before it makes")
        if len(np.unique(self.pairs, axis=0)) != len(self.pairs):
            raise FormatError("the same pair is merged twice")
        self.lengths = self._count()

    def _count(self) -> np.ndarray:
        """Symbols that each merge's token spells, int64 [M]."""
        n, lengths, total = self.num_symbols, [0] * len(self.pairs), 0
        for rank, (a, b) in enumerate(self.pairs.tolist()):
            lengths[rank] = (1 if a < n else lengths[a - n]) + (1 if b < n else lengths[b - n])
            total += lengths[rank]
            if total > MAX_SPELLED:
                raise FormatError(f"the tokens up to merge {rank} spell more than {MAX_SPELLED} symbols")
        return np.array(lengths, dtype=np.int64)

    @cached_property
    def spelled(self) -> tuple[np.ndarray, np.ndarray]:
        """What all merges spell, one after another, and where each one's part begins: int64 [...], int64 [M + 1]."""
        first = np.concatenate([[0], np.cumsum(self.lengths)])
        n, out = self.num_symbols, np.empty(first[-1], np.int64)
        starts = first.tolist()
        for rank, pair in enumerate(self.pairs.tolist()):
            place = starts[rank]
            for part in pair:
                piece = [part] if part < n else out[starts[part - n] : starts[part - n + 1]]
                out[place : place + len(piece)] = piece
                place += len(piece)
        return out, first

    @cached_property
    def junctions(self) -> Junctions:
        """The table that encoding needs."""
        return Junctions(self.num_symbols, self.pairs)

    def encode(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Merge sequences of symbols, int [N] each, into ids, int64 [N'] each.

        Raises:
            CodeRangeError: a symbol outside ``0..n - 1``.
        """
        found: list[np.ndarray] = []
        start = size = 0
        for end, sequence in enumerate(sequences, 1):
            size += len(sequence)
            if size >= BLOCK or end == len(sequences):
                found += self._encode_block(sequences[start:end])
                start, size = end, 0
        return found

    def _encode_block(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        symbols, cuts = joined(sequences, self.num_symbols, "symbol")
        bar = self.junctions.separator
        marked = np.full(len(symbols) + len(cuts), bar)
        marked[np.arange(len(symbols)) + np.repeat(np.arange(1, len(cuts)), np.diff(cuts))] = symbols
        tokens, alive = merge_all(self.junctions, marked)
        merged = tokens[alive]
        return [merged[a + 1 : b] for a, b in pairwise(np.flatnonzero(merged == bar).tolist())]

    def decode(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The symbols that sequences of ids, int [N] each, spell, int64 [N'] each: the inverse of ``encode``.

        Raises:
            CodeRangeError: an id outside ``0..size - 1``.
        """
        ids, cuts = joined(sequences, self.size, "id")
        spelled, first = self.spelled
        merge = np.maximum(ids - self.num_symbols, -1)  # -1, of a symbol, finds the 1 at the end
        lengths = np.append(self.lengths, 1)[merge]
        total = np.concatenate([[0], np.cumsum(lengths)])
        symbols = np.repeat(ids, lengths)
        inner = symbols >= self.num_symbols
        place = np.arange(total[-1]) + np.repeat(first[merge] - total[:-1], lengths)
        symbols[inner] = spelled[place[inner]]
        return [symbols[a:b] for a, b in pairwise(total[cuts].tolist())]


def joined(sequences: Sequence[np.ndarray], size: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Sequences one after another, int64 [N], and where each begins and the last ends, int64 [B + 1].

    Raises:
        CodeRangeError: a number that is no integer in ``0..size - 1``.
    """
    arrays = [np.asarray(s) for s in sequences]
    for array in arrays:
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise CodeRangeError(f"a sequence of {array.dtype} {list(array.shape)}: give integers [N]")
    cuts = np.cumsum([0, *map(len, arrays)])
    whole = np.concatenate([np.empty(0, np.int64), *arrays]).astype(np.int64, copy=False)
    if whole.size and not (whole.min() >= 0 and whole.max() < size):
        place = int(np.flatnonzero((whole < 0) | (whole >= size))[0])
        row = int(np.searchsorted(cuts, place, "right")) - 1
        raise CodeRangeError(
            f"{what} {whole[place]} at {place - cuts[row]} of sequence {row} is outside 0..{size - 1}",
            code=int(whole[place]),
            size=size,
        )
    return whole, cuts

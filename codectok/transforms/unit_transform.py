"""UnitTransform: what was done to frames of units before they were kept or said, part of the identity of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from codectok.errors import CodectokError, FingerprintError, FormatError
from codectok.fingerprint import same
from codectok.tokens.runs import merged_runs
from codectok.transforms.code_orders import arrange, restore
from codectok.transforms.unit_bpe import UnitBPE


class Applied(NamedTuple):
    """Columns int64 [K', N], and frames of each run, int64 [T], where runs were merged and their lengths are kept."""

    columns: np.ndarray
    durations: np.ndarray | None


@dataclass(frozen=True)
class UnitTransform:
    """Duplicates merged, then BPE; either, both or neither.

    Two are equal where they give the same ids: a store, a vocabulary and a model that name the same one go together.

    Attributes:
        tokenizer: fingerprint of the tokenizer whose codes it takes.
        codebook_sizes: of these codes, K of them.
        dedup: runs of equal frames are merged.
        bpe: fingerprint of the BPE; None, there is none, and K codebooks stay.
        vocab_size: of the BPE.
        durations: the lengths of merged runs are kept beside. Without, the transform is ``lossy``.
        merges: the BPE itself, where it is at hand: what is read from a file has it attached (:meth:`attach`).
    """

    tokenizer: str
    codebook_sizes: tuple[int, ...]
    dedup: bool = False
    bpe: str | None = None
    vocab_size: int | None = None
    durations: bool = True
    merges: UnitBPE | None = field(default=None, compare=False, repr=False)

    @staticmethod
    def of(
        tokenizer: str,
        codebook_sizes: Sequence[int],
        *,
        dedup: bool,
        bpe: UnitBPE | None = None,
        durations: bool = True,
    ) -> UnitTransform:
        """The transform of a tokenizer's codes with these steps.

        Raises:
            FingerprintError: a BPE of another tokenizer's codes.
            CodectokError: a BPE over other codebooks, or over frames where runs are merged, or the other way round.
        """
        plain = UnitTransform(tokenizer, tuple(codebook_sizes), dedup, durations=durations or not dedup)
        return plain if bpe is None else plain.attach(bpe)

    def attach(self, bpe: UnitBPE) -> UnitTransform:
        """The same with its BPE at hand, or with a BPE where it had none.

        Raises:
            FingerprintError: another BPE than the one that it names, or of another tokenizer's codes.
            CodectokError: a BPE over other codebooks, or over frames where runs are merged, or the other way round.
        """
        if self.bpe is not None and bpe.fingerprint != self.bpe:
            raise FingerprintError(
                f"this is BPE {bpe.fingerprint}, {self.bpe} is needed: use the bpe.json that was written with it",
                wanted=self.bpe,
                found=bpe.fingerprint,
            )
        if not same(bpe.tokenizer_fingerprint, self.tokenizer):
            raise FingerprintError(
                f"this BPE is of the codes of tokenizer {bpe.tokenizer_fingerprint}, not of {self.tokenizer}: train "
                "one on this tokenizer's (codectok units bpe)",
                wanted=self.tokenizer,
                found=bpe.tokenizer_fingerprint,
            )
        if bpe.codebook_sizes != self.codebook_sizes:
            raise CodectokError(
                f"this BPE is over codebooks of {list(bpe.codebook_sizes)} codes, here are {list(self.codebook_sizes)}:"
                f" give --codebooks {len(bpe.codebook_sizes)}, or train another (codectok units bpe)"
            )
        if bpe.dedup != self.dedup:
            needs = "units whose duplicates are merged: add --dedup" if bpe.dedup else "frames: leave out --dedup"
            raise CodectokError(f"this BPE is over {needs}")
        return replace(self, bpe=bpe.fingerprint, vocab_size=bpe.vocab_size, merges=bpe)

    @property
    def lossy(self) -> bool:
        """Whether frames cannot be had back exactly: runs were merged and their lengths are not kept."""
        return self.dedup and not self.durations

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the columns that it gives: the BPE's vocabulary, or the codebooks as they are."""
        return self.codebook_sizes if self.vocab_size is None else (self.vocab_size,)

    def __str__(self) -> str:
        runs = f"duplicates merged{', their lengths left out' if self.lossy else ''}"
        steps = [runs] * self.dedup + [f"BPE of {self.vocab_size} ({str(self.bpe)[:8]})"] * (self.bpe is not None)
        return ", then ".join(steps) or "frames as they are"

    def apply(self, many: Sequence[np.ndarray]) -> list[Applied]:
        """Frames, integers [K, T] each, as columns; ``invert`` is the inverse, exact with the durations.

        Raises:
            CodeRangeError: a code outside its codebook (with BPE).
            FormatError: the BPE is not at hand.
        """
        tables = [np.asarray(codes) for codes in many]
        merged = [Applied(*merged_runs(codes)) if self.dedup else Applied(codes, None) for codes in tables]
        if self.bpe is None:
            return merged
        bpe = self.units()
        ids = bpe.encode_ids([arrange(m.columns, bpe.codebook_sizes, bpe.pattern) for m in merged])
        return [Applied(i[None], m.durations) for i, m in zip(ids, merged, strict=True)]

    def invert(self, columns: np.ndarray, durations: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Frames int64 [K, T] of columns [K', N].

        Args:
            columns: as ``apply`` gave them.
            durations: of the runs; without, they are guessed (:class:`RunsToFrames`).

        Raises:
            CodeRangeError: an id outside the vocabulary.
            FormatError: ids that spell no whole frames, durations of another number of runs, or no BPE at hand.
        """
        codes = np.asarray(columns)
        if self.bpe is not None:
            bpe = self.units()
            codes = restore(bpe.decode_ids([codes[0]])[0], bpe.codebook_sizes, bpe.pattern)
        return RunsToFrames(self).push(codes, durations)

    def units(self) -> UnitBPE:
        """The BPE.

        Raises:
            FormatError: it is not at hand, or there is none.
        """
        if self.merges is None:
            raise FormatError("the BPE of these units is not here: open the folder that its bpe.json lies in")
        return self.merges

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; the merges lie in a ``bpe.json`` beside."""
        return {
            "tokenizer": self.tokenizer,
            "codebook_sizes": list(self.codebook_sizes),
            "dedup": self.dedup,
            "durations": self.durations,
            "bpe": self.bpe,
            "vocab_size": self.vocab_size,
        }

    @staticmethod
    def from_dict(plain: Any) -> UnitTransform:
        """The inverse of ``to_dict``, without the merges.

        Raises:
            FormatError: not the description of a transform.
        """
        try:
            sizes, size = tuple(int(n) for n in plain["codebook_sizes"]), plain["vocab_size"]
            size = None if size is None else int(size)
            tokenizer, dedup, bpe, kept = (plain[name] for name in ("tokenizer", "dedup", "bpe", "durations"))
            found = UnitTransform(str(tokenizer), sizes, dedup is True, bpe, size, kept is True)
            whole = isinstance(dedup, bool) and isinstance(kept, bool) and isinstance(bpe, (str, type(None)))
        except (ArithmeticError, LookupError, TypeError, ValueError):
            whole = False
        if not whole or (bpe is None) != (size is None) or not sizes or not all(1 <= n < 2**31 for n in found.sizes):
            raise FormatError("this is not the description of a unit transform: make it again with the same command")
        return found


class RunsToFrames:
    """The way back from runs, any number at a time, to frames; where none are merged, they are frames already.

    A run that comes without its length is given the mean of its symbol, where the BPE has seen runs, else 1 frame.
    Means are fractions: what is rounded off a run goes to the next, so that the whole is right.
    """

    def __init__(self, transform: UnitTransform) -> None:
        bpe = transform.merges
        self._merged = transform.dedup
        self._means = None if bpe is None else bpe.mean_durations
        self._exact, self._given = 0.0, 0

    def push(self, codes: np.ndarray, durations: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Frames [K, T] of runs [K, N] that follow those pushed before.

        Raises:
            FormatError: durations of another number of runs.
        """
        if not self._merged:
            return codes
        if durations is not None:
            if len(durations) != codes.shape[1]:
                raise FormatError(f"the ids spell {codes.shape[1]} runs, {len(durations)} durations were given")
            return np.repeat(codes, np.asarray(durations), axis=1)
        if self._means is None:
            return codes
        ends = self._exact + np.cumsum(self._means[codes[0]])
        counts = np.maximum(1, np.diff(np.rint(ends).astype(np.int64), prepend=self._given))
        if len(ends):
            self._exact, self._given = float(ends[-1]), round(float(ends[-1]))
        return np.repeat(codes, counts, axis=1)

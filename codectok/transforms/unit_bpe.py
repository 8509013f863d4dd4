"""BPE over units: frequent sequences of codes become tokens of their own (acoustic BPE, Ren et al. 2022).

Symbols are integers and stay so: there may be any number of them, and no text normaliser ever sees them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from codectok.errors import CodectokError, CodeRangeError, FingerprintError, FormatError
from codectok.fingerprint import fingerprint, same
from codectok.tokens import Tokens
from codectok.transforms import bpe_file, bpe_huggingface
from codectok.transforms.bpe_ids import Merges
from codectok.transforms.code_orders import arrange, check_pattern, restore
from codectok.transforms.merged import Merged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class OfFolder(Protocol):
    """What is asked of a tokenizer to find its BPE."""

    name: str
    fingerprint: str
    codebook_sizes: tuple[int, ...]
    folder: Path | None

    def knows(self, fingerprint: str) -> bool:
        """Whether a fingerprint is of its code space."""


def bpe_of(tokenizer: OfFolder) -> UnitBPE | None:
    """The BPE over a tokenizer's codes that lies in its model folder, ``bpe.json``; None where it has none.

    Raises:
        FormatError: a damaged ``bpe.json``.
        FingerprintError: a BPE of another tokenizer's codes.
        CodeRangeError: a BPE over codebooks that the tokenizer does not have.
    """
    if tokenizer.folder is None or not (tokenizer.folder / "bpe.json").is_file():
        return None
    bpe = UnitBPE.load(tokenizer.folder)
    bpe.check_tokenizer(tokenizer)
    return bpe


class UnitBPE:
    """BPE of one tokenizer's codes. Ids ``0..n - 1`` are the n symbols; the merge of rank r makes the id ``n + r``.

    Args:
        codebook_sizes: of the codebooks it is over; n is their sum.
        merges: int [M, 2], pairs of ids in order of rank.
        pattern: how K codebooks make one sequence (:mod:`codectok.transforms.code_orders`).
        dedup: runs of equal frames are merged first, and their durations kept beside the ids.
        tokenizer_fingerprint: of the tokenizer whose codes they are.
        trained_on: what is known of the training data, for the record.
        mean_durations: frames of a run of each symbol, [n], where they are known: to guess durations that were left
            out. No part of the fingerprint.

    Raises:
        FormatError: merges that are not pairs of ids made before them.
        CodectokError: no such pattern, or none for so many codebooks.
    """

    def __init__(
        self,
        codebook_sizes: Sequence[int],
        merges: Any,
        *,
        pattern: str = "single",
        dedup: bool = True,
        tokenizer_fingerprint: str,
        trained_on: Mapping[str, Any] | None = None,
        mean_durations: Sequence[float] | None = None,
    ) -> None:
        self.codebook_sizes = tuple(int(n) for n in codebook_sizes)
        check_pattern(pattern, len(self.codebook_sizes))
        self.pattern, self.dedup = pattern, dedup
        self.tokenizer_fingerprint = tokenizer_fingerprint
        self.trained_on = dict(trained_on or {})
        self._merges = Merges(sum(self.codebook_sizes), merges)
        self.mean_durations = None if mean_durations is None else np.array(mean_durations, dtype=np.float64)
        if self.mean_durations is not None and not (
            self.mean_durations.shape == (self.num_symbols,) and bool((self.mean_durations >= 1).all())
        ):
            raise FormatError(f"mean durations must be {self.num_symbols} numbers, 1 or more")

    @property
    def num_symbols(self) -> int:
        """n."""
        return self._merges.num_symbols

    @property
    def vocab_size(self) -> int:
        """Symbols and merges: V."""
        return self._merges.size

    @property
    def merges(self) -> np.ndarray:
        """Pairs of ids in order of rank, int64 [V - n, 2], read-only."""
        return self._merges.pairs

    @cached_property
    def fingerprint(self) -> str:
        """Of all that decides the ids."""
        config = {"codebook_sizes": self.codebook_sizes, "pattern": self.pattern, "dedup": self.dedup}
        config["tokenizer"] = self.tokenizer_fingerprint
        return fingerprint(config, {"merges": torch.tensor(self.merges)})

    def check_tokenizer(self, tokenizer: OfFolder) -> None:
        """Raise FingerprintError or CodeRangeError if it is not over the codes of this tokenizer."""
        if not tokenizer.knows(self.tokenizer_fingerprint):
            raise FingerprintError(
                f"this BPE is of the codes of tokenizer {self.tokenizer_fingerprint}, not of {tokenizer.name} "
                f"({tokenizer.fingerprint}): train one on this tokenizer's (codectok units bpe)",
                wanted=tokenizer.fingerprint,
                found=self.tokenizer_fingerprint,
            )
        if self.codebook_sizes != tokenizer.codebook_sizes[: len(self.codebook_sizes)]:
            raise CodeRangeError(f"this BPE is over codebooks that {tokenizer.name} does not have")

    def truncate(self, vocab_size: int) -> UnitBPE:
        """The BPE that training for ``vocab_size`` would have given: the first merges.

        Raises:
            CodectokError: more than there are, or fewer than the symbols.
        """
        if not self.num_symbols <= vocab_size <= self.vocab_size:
            raise CodectokError(
                f"a vocabulary of {vocab_size} is not in this BPE: it has those from {self.num_symbols} (no merges) "
                f"to {self.vocab_size}"
            )
        return UnitBPE(
            self.codebook_sizes,
            self.merges[: vocab_size - self.num_symbols],
            pattern=self.pattern,
            dedup=self.dedup,
            tokenizer_fingerprint=self.tokenizer_fingerprint,
            trained_on=self.trained_on,
            mean_durations=None if self.mean_durations is None else self.mean_durations.tolist(),
        )

    # -- Tokens -----------------------------------------------------------------------------------------------------

    def encode(self, tokens: Tokens) -> Merged:
        """Merge one utterance's codes.

        Raises:
            FingerprintError: tokens of another tokenizer than the BPE is for.
            CodeRangeError: another number of codebooks.
        """
        return self.encode_batch([tokens])[0]

    def encode_batch(self, many: Sequence[Tokens]) -> list[Merged]:
        """``encode`` of several utterances, at the speed of a batch."""
        seen = [self._seen(tokens) for tokens in many]
        symbols = [arrange(t.codes.numpy(), self.codebook_sizes, self.pattern) for t in seen]
        return [
            Merged(
                torch.from_numpy(ids.copy()),  # a copy: ids are slices of the whole batch
                s.durations if self.dedup else t.durations,
                t.durations is not None,
                t.num_samples,
                t.sample_rate,
                t.frame_rate,
                t.codebook_sizes,
                t.fingerprint,
                self.fingerprint,
                self.vocab_size,
            )
            for t, s, ids in zip(many, seen, self.encode_ids(symbols), strict=True)
        ]

    def decode(self, merged: Merged) -> Tokens:
        """The Tokens that ``merged`` was made of.

        Raises:
            FingerprintError: another BPE made it.
            FormatError: ids that do not spell whole frames, or not as many as there are durations.
        """
        return self.decode_batch([merged])[0]

    def decode_batch(self, many: Sequence[Merged]) -> list[Tokens]:
        """``decode`` of several utterances."""
        for merged in many:
            if merged.bpe_fingerprint != self.fingerprint:
                raise FingerprintError(
                    f"these ids were made by BPE {merged.bpe_fingerprint}, not by this one ({self.fingerprint}): "
                    "use that one, or truncate this one to its vocabulary",
                    wanted=self.fingerprint,
                    found=merged.bpe_fingerprint,
                )
        symbols = self.decode_ids([merged.ids.numpy() for merged in many])
        return [self._tokens(merged, s) for merged, s in zip(many, symbols, strict=True)]

    def _seen(self, tokens: Tokens) -> Tokens:
        """An utterance as merges see it."""
        if not same(tokens.fingerprint, self.tokenizer_fingerprint):
            raise FingerprintError(
                f"these tokens were made by tokenizer {tokens.fingerprint}, this BPE is for "
                f"{self.tokenizer_fingerprint}: use that tokenizer's, or train another (codectok units bpe)",
                wanted=self.tokenizer_fingerprint,
                found=tokens.fingerprint,
            )
        if tokens.codebook_sizes != self.codebook_sizes:
            raise CodeRangeError(
                f"these tokens have {tokens.num_codebooks} codebooks of {list(tokens.codebook_sizes)} codes, this BPE "
                f"is over {list(self.codebook_sizes)}: give tokens.first({len(self.codebook_sizes)})"
            )
        return tokens.dedup() if self.dedup else tokens.expand()

    def _tokens(self, merged: Merged, symbols: np.ndarray) -> Tokens:
        codes, durations = torch.from_numpy(restore(symbols, self.codebook_sizes, self.pattern)), merged.durations
        if durations is not None:
            columns = len(durations) if self.dedup else int(durations.sum())
            if codes.shape[1] != columns:
                raise FormatError(f"the ids spell {codes.shape[1]} columns, their durations are of {columns}")
            if not self.dedup:
                codes = codes[:, durations.cumsum(0) - durations]  # the first frame of each run
        tokens = Tokens(
            codes,
            merged.num_samples,
            merged.sample_rate,
            merged.frame_rate,
            merged.codebook_sizes,
            merged.fingerprint,
            durations,
        )
        return tokens if merged.deduplicated else tokens.expand()

    # -- ids --------------------------------------------------------------------------------------------------------

    def encode_ids(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Merge sequences of symbols (for one codebook: codes), int [N] each, into ids, int64 [N'] each.

        Raises:
            CodeRangeError: a symbol outside ``0..n - 1``.
        """
        return self._merges.encode(sequences)

    def decode_ids(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The symbols that sequences of ids spell, int64 [N'] each: the inverse of ``encode_ids``.

        Raises:
            CodeRangeError: an id outside ``0..V - 1``.
        """
        return self._merges.decode(sequences)

    @cached_property
    def heads(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each id the codebook that its first symbol is of, and how many symbols it spells; int64 [V] each."""
        pieces = self.decode_ids(np.arange(self.vocab_size)[:, None])  # type: ignore[arg-type]
        ends = np.cumsum(self.codebook_sizes)
        first = np.searchsorted(ends, [piece[0] for piece in pieces], "right")
        return first, np.fromiter(map(len, pieces), np.int64, len(pieces))

    def pieces(self) -> list[tuple[int, ...]]:
        """The symbols that each id spells, in the order of ids."""
        return [tuple(s.tolist()) for s in self.decode_ids(np.arange(self.vocab_size)[:, None])]  # type: ignore[arg-type]

    # -- files ------------------------------------------------------------------------------------------------------

    def save(self, place: str | os.PathLike[str]) -> None:
        """Write a file that ends in .json, or ``bpe.json`` into a folder (made if missing)."""
        entry = {
            "tokenizer": self.tokenizer_fingerprint,
            "codebook_sizes": list(self.codebook_sizes),
            "num_symbols": self.num_symbols,
            "pattern": self.pattern,
            "dedup": self.dedup,
            "vocab_size": self.vocab_size,
            **({} if self.mean_durations is None else {"mean_durations": self.mean_durations.round(3).tolist()}),
            "trained_on": self.trained_on,
        }
        bpe_file.write_entry(place, entry, self.merges.tolist())

    @staticmethod
    def load(place: str | os.PathLike[str]) -> UnitBPE:
        """Read a file, or ``bpe.json`` of a folder.

        Raises:
            FormatError: none there, damaged, or of another version.
        """
        entry, path = bpe_file.read_entry(place), bpe_file.bpe_path(place)
        try:
            bpe = UnitBPE(
                entry["codebook_sizes"],
                entry["merges"],
                pattern=entry["pattern"],
                dedup=bool(entry["dedup"]),
                tokenizer_fingerprint=str(entry["tokenizer"]),
                trained_on=entry["trained_on"],
                mean_durations=entry.get("mean_durations"),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = str(error) if isinstance(error, CodectokError) else f"{type(error).__name__}: {error}"
            raise FormatError(f"{path} is damaged ({reason}): train it again", path=path) from None
        if (bpe.num_symbols, bpe.vocab_size) != (entry.get("num_symbols"), entry.get("vocab_size")):
            raise FormatError(
                f"{path} is damaged: its num_symbols and vocab_size are not those of its merges", path=path
            )
        return bpe

    def to_hf(self) -> PreTrainedTokenizerFast:
        """The same ids from a Hugging Face tokenizer, of the text form (:mod:`codectok.transforms.bpe_huggingface`).

        Its ids of ``to_text(symbols)`` are ``encode_ids([symbols])[0]``.

        Raises:
            CodectokError: more than 137,468 symbols; two ids that spell the same (never from training).
        """
        bpe_huggingface.check_symbols(self.num_symbols)
        return bpe_huggingface.to_hf(self.pieces(), self.merges)

    def save_hf(self, folder: str | os.PathLike[str]) -> None:
        """Write that tokenizer where ``AutoTokenizer.from_pretrained`` finds it; other files there stay."""
        bpe_huggingface.save_hf(self.to_hf(), folder)

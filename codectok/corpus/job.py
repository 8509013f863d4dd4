"""A job that can be sent to another process, and what becomes of a shard of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from codectok.audio.path import printable
from codectok.corpus.plan import BATCH_SECONDS
from codectok.corpus.reading import Failure
from codectok.corpus.steps import Outcome
from codectok.errors import FingerprintError
from codectok.items.item import Item
from codectok.store.info import WARNING, ItemError, Row
from codectok.tokenizer import Tokenizer, load


@dataclass(frozen=True)
class TokenizeJob:
    """How items are tokenized: all that a worker needs, and quick to send.

    Attributes:
        tokenizer: what ``codectok.load`` opens, the same from any folder.
        fingerprint: that the tokenizer must have.
        num_codebooks: to keep.
        dedup: whether runs of equal columns are merged.
        batch_seconds: most audio in one batch, padding included, in seconds.
        device: torch device to run on.
        strict: whether damaged files that could yet be read are refused.
    """

    tokenizer: str
    fingerprint: str
    num_codebooks: int
    dedup: bool = False
    batch_seconds: float = BATCH_SECONDS
    device: str = "cpu"
    strict: bool = False

    def open(self) -> Tokenizer:
        """The tokenizer.

        Raises:
            FingerprintError: another one has taken its name.
        """
        tokenizer = load(self.tokenizer, device=self.device)
        if not tokenizer.knows(self.fingerprint):
            raise FingerprintError(
                f"{self.tokenizer} is not the tokenizer that this job was begun with (its fingerprint is "
                f"{tokenizer.fingerprint}, not {self.fingerprint}): install the same version and models everywhere",
                wanted=self.fingerprint,
                found=tokenizer.fingerprint,
            )
        return tokenizer


@dataclass
class ShardResult:
    """What became of a shard's items; both lists are in the items' order.

    Attributes:
        rows: ids and tokens, as they are stored.
        errors: the items that failed, and warnings (:attr:`ItemError.warns`) of files that did not.
        timing: ``read_seconds`` (decoding and resampling) and ``encode_seconds`` of CPU time, ``audio_seconds`` of the
            rows.
    """

    rows: list[Row]
    errors: list[ItemError]
    timing: dict[str, float] = field(default_factory=dict)

    @property
    def num_failed(self) -> int:
        """How many items failed."""
        return sum(not error.warns for error in self.errors)


def shard_result(
    items: Sequence[Item], outcomes: Sequence[Outcome], tokenizer: Tokenizer, timing: dict[str, float]
) -> ShardResult:
    """Rows and errors of a shard whose every item has its outcome."""
    rows: list[Row] = []
    errors: list[ItemError] = []
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, Failure):
            errors.append(ItemError(item.id, printable(item.path), outcome.kind, outcome.message))
        else:
            rows.append(Row(item.id, outcome.tokens(tokenizer), item.labels))
            errors += [ItemError(item.id, printable(item.path), WARNING, text) for text in outcome.warnings]
    seconds = sum(tokens.num_samples for _, tokens in rows) / tokenizer.sample_rate
    return ShardResult(rows, errors, {**timing, "audio_seconds": seconds})

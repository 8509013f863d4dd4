"""What every engine does with a shard: a job that can be sent to another process, and the worker that does it there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from codectok.audio_reader import printable
from codectok.corpus.plan import BATCH_SECONDS, Batch, plan
from codectok.corpus.reading import Failure, measure, readers
from codectok.corpus.steps import BatchEncoder, Begun, Outcome
from codectok.errors import FingerprintError
from codectok.items.item import Item
from codectok.store.base import ItemError, Row
from codectok.tokenizer import Tokenizer, load


@dataclass(frozen=True)
class Job:
    """How items are tokenized: all that a worker needs, and quick to send.

    Attributes:
        tokenizer: what ``codectok.load`` opens, the same from any folder.
        fingerprint: that the tokenizer must have.
        num_codebooks: to keep.
        dedup: whether runs of equal columns are merged.
        batch_seconds: most audio in one batch, padding included, in seconds.
        device: torch device to run on.
    """

    tokenizer: str
    fingerprint: str
    num_codebooks: int
    dedup: bool = False
    batch_seconds: float = BATCH_SECONDS
    device: str = "cpu"

    def open(self) -> Tokenizer:
        """The tokenizer.

        Raises:
            FingerprintError: another one has taken its name.
        """
        tokenizer = load(self.tokenizer, device=self.device)
        if tokenizer.fingerprint != self.fingerprint:
            raise FingerprintError(
                f"{self.tokenizer} is not the tokenizer that this job was begun with (its fingerprint is "
                f"{tokenizer.fingerprint}, not {self.fingerprint}): install the same version and models everywhere"
            )
        return tokenizer


@dataclass
class ShardResult:
    """What became of a shard's items; both lists are in the items' order.

    Attributes:
        rows: ids and tokens, as they are stored.
        errors: the items that failed.
        timing: ``read_seconds`` (decoding and resampling) and ``encode_seconds`` of CPU time, ``audio_seconds`` of the
            rows.
    """

    rows: list[Row]
    errors: list[ItemError]
    timing: dict[str, float] = field(default_factory=dict)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread for the length of a with block.

    Sums of floats depend on the number of threads, so bytes could too; and a process a core is faster anyway.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class ShardWorker:
    """Tokenizes whole shards in this process, one thread for the model and one that reads ahead.

    Args:
        job: what to do.
        tokenizer: the job's, where it is open already.

    Raises:
        CodectokError: the tokenizer cannot be opened.
        FingerprintError: it is another than the job's.
    """

    def __init__(self, job: Job, tokenizer: Tokenizer | None = None) -> None:
        self.job = job
        self.tokenizer = job.open() if tokenizer is None else tokenizer

    def tokenize(self, items: Sequence[Item], done: Callable[[int, list[Failure]], None] | None = None) -> ShardResult:
        """Tokenize the items of one shard.

        Args:
            items: of the shard, all of them, in order.
            done: told after each batch how many items it had, and which failures.
        """
        k, dedup, causal = self.job.num_codebooks, self.job.dedup, self.tokenizer.causal
        outcomes: dict[int, Outcome] = {}
        timing = {"read_seconds": 0.0, "encode_seconds": 0.0}
        with one_thread(), readers() as pool:
            encoder = BatchEncoder(self.tokenizer, k, dedup, pool)
            lengths, timing["read_seconds"] = measure(items)
            for batch, begun in _read_ahead(encoder, items, plan(lengths, self.job.batch_seconds, causal=causal)):
                found = encoder.finish(begun)
                outcomes |= dict(zip(batch.indices, found.outcomes, strict=True))
                timing["read_seconds"] += found.read_seconds
                timing["encode_seconds"] += found.encode_seconds
                if done is not None:
                    done(len(found.outcomes), [o for o in found.outcomes if isinstance(o, Failure)])
        return shard_result(items, [outcomes[i] for i in range(len(items))], self.tokenizer, timing)


def _read_ahead(
    encoder: BatchEncoder, items: Sequence[Item], batches: Sequence[Batch]
) -> Iterator[tuple[Batch, Begun]]:
    """Batches in their order, each begun before the one ahead of it is encoded."""
    before: tuple[Batch, Begun] | None = None
    for batch in batches:
        begun = encoder.begin([items[i] for i in batch.indices], batch.streamed)
        if before is not None:
            yield before
        before = batch, begun
    if before is not None:
        yield before


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
            rows.append((item.id, outcome.tokens(tokenizer)))
    seconds = sum(tokens.num_samples for _, tokens in rows) / tokenizer.sample_rate
    return ShardResult(rows, errors, {**timing, "audio_seconds": seconds})

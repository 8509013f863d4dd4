"""The local engine: a corpus through a tokenizer into a store, shard by shard, on one machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codectok.corpus.manifest import Corpus, Item, ItemHash, Scan
from codectok.corpus.shards import Work, tokenize_items
from codectok.errors import CodectokError, FormatError
from codectok.store.base import ItemError, StoreInfo, StoreOptions
from codectok.store.reader import open_store
from codectok.store.writer import StoreWriter
from codectok.tokenizer import Tokenizer

Progress = Callable[[int, int], None]
"""Told (items of the corpus that are done, items in all)."""


@dataclass(frozen=True)
class Summary:
    """What a run made.

    Attributes:
        out: folder of the store.
        items: utterances in the store.
        failed: items that are not, each listed in ``errors.jsonl``.
        first_errors: the first of these, at most 20.
        resumed_shards: shards that an earlier run had finished.
        stats: what ``stats.json`` says.
    """

    out: Path
    items: int
    failed: int
    first_errors: list[ItemError]
    resumed_shards: int
    stats: dict[str, Any]


def tokenize_corpus(
    corpus: Corpus,
    tokenizer: Tokenizer,
    out: str | os.PathLike[str],
    *,
    format: str = "parquet",
    num_codebooks: int | None = None,
    flatten: bool = False,
    dedup: bool = False,
    items_per_shard: int = 1000,
    workers: int = 1,
    batch_seconds: float = 60.0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Tokenize a corpus into a store; the same call again goes on with a run that was stopped.

    An item that fails is recorded and left out, and takes no other with it. A run that was killed and called again
    makes the same bytes as one that was not, but for the timings in ``stats.json``; a finished store is left as it is.

    Args:
        corpus: the items.
        tokenizer: that encodes them.
        out: folder of the store.
        format: name of a store format.
        num_codebooks: keep the first K codebooks; default all.
        flatten: interleave the codebooks into one stream, for single-stream formats.
        dedup: merge runs of equal frames, keeping their lengths.
        items_per_shard: unit of work and of what a killed run loses at most.
        workers: threads that read and resample audio while the model runs.
        batch_seconds: most audio in one batch, padding included, in seconds.
        overwrite: delete a store or unfinished run that is in ``out``.
        progress: told how far it is.

    Raises:
        FingerprintError: ``out`` holds tokens of another tokenizer.
        FormatError: ``out`` was made from another corpus or with other options, or the format cannot hold such
            tokens, or the manifest is malformed.
        CodectokError: nothing to do, or the corpus changed meanwhile.
    """
    for name, number in (("items_per_shard", items_per_shard), ("workers", workers), ("batch_seconds", batch_seconds)):
        if number <= 0:
            raise CodectokError(f"{name} must be above 0, not {number}")
    started = time.perf_counter()
    k = tokenizer.choose_codebooks(num_codebooks, None)
    scan = corpus.scan()
    info = StoreInfo(
        format=format,
        tokenizer=tokenizer.name,
        fingerprint=tokenizer.fingerprint,
        sample_rate=tokenizer.sample_rate,
        frame_rate=tokenizer.frame_rate,
        codebook_sizes=tokenizer.codebook_sizes[:k],
        options=StoreOptions(dedup, flatten, items_per_shard),
        manifest=scan.sha256,
    )
    num_shards = -(-scan.num_items // items_per_shard)
    writer = StoreWriter(Path(out), info, num_shards, overwrite=overwrite)
    if writer.complete:
        return _finished(Path(out), num_shards)
    work = Work(tokenizer, k, dedup, batch_seconds)
    done = resumed = 0
    samples = 0

    def advance(items: int) -> None:
        nonlocal done
        done += items
        if progress is not None:
            progress(done, scan.num_items)

    with ThreadPoolExecutor(workers, thread_name_prefix="codectok-audio") as pool:
        try:
            for shard, (items, digest) in enumerate(_shards(corpus, items_per_shard, scan)):
                if writer.has_shard(shard, digest):
                    resumed += 1
                    advance(len(items))
                    continue
                rows, errors = tokenize_items(items, work, pool, advance)
                samples += sum(tokens.num_samples for _, tokens in rows)
                writer.write_shard(shard, rows, errors, digest)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    wall = time.perf_counter() - started
    speed = samples / tokenizer.sample_rate / wall
    stats = writer.close({"wall_seconds": wall, "x_real_time": speed, "resumed_shards": resumed})
    return _summary(Path(out), stats, resumed)


def _shards(corpus: Corpus, items_per_shard: int, scan: Scan) -> Iterator[tuple[list[Item], str]]:
    """Consecutive items, and their hash; fails if the corpus is no longer the one that was scanned."""
    whole, part, items = ItemHash(corpus.root), ItemHash(corpus.root), []
    for item in corpus:
        whole.add(item)
        part.add(item)
        items.append(item)
        if len(items) == items_per_shard:
            yield items, part.hexdigest()
            part, items = ItemHash(corpus.root), []
    if items:
        yield items, part.hexdigest()
    if whole.hexdigest() != scan.sha256:
        raise FormatError(f"{corpus.source} changed while it was read: delete the unfinished store and run again")


def _finished(out: Path, num_shards: int) -> Summary:
    return _summary(out, open_store(out).stats, num_shards)


def _summary(out: Path, stats: dict[str, Any], resumed: int) -> Summary:
    return Summary(out, stats["items"], stats["failed"], open_store(out).errors[:20], resumed, stats)

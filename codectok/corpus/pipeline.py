"""A corpus through a tokenizer into a store, shard by shard, on whichever engine."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from codectok.corpus.engines import Engine, device_kind, run_engine
from codectok.corpus.job import TokenizeJob
from codectok.corpus.local import name_anywhere
from codectok.corpus.plan import BATCH_SECONDS
from codectok.corpus.totals import Progress, Totals
from codectok.errors import CodectokError, FormatError, UnreadFormatError
from codectok.items.corpus import Corpus, Scan
from codectok.items.hashes import ItemHash
from codectok.items.item import Item
from codectok.items.labels import LabelHash
from codectok.items.readers.kinds import kind_of
from codectok.store.formats.table import get_format
from codectok.store.info import ItemError, StoreInfo, StoreOptions
from codectok.store.label_columns import kept
from codectok.store.reader import open_store
from codectok.store.writer import StoreWriter, begun_by
from codectok.tokenizer import Tokenizer
from codectok.transforms.unit_bpe import UnitBPE, bpe_of
from codectok.transforms.unit_transform import UnitTransform

_UNREAD = UnreadFormatError.__name__
SHOWN_ERRORS = 20
"""Failed items that a summary has."""


@dataclass(frozen=True)
class TokenizeSummary:
    """What a run made.

    Attributes:
        out: folder of the store.
        items: utterances in the store.
        failed: items that are not, each listed in ``errors.jsonl``.
        first_errors: the first of these, at most ``SHOWN_ERRORS``, but for those counted in ``unread``.
        resumed_shards: shards that an earlier run had finished.
        stats: what ``stats.json`` says.
        already_finished: the store was whole before, and nothing was done.
        labels_left_out: names of labels that the format has no place for.
        begun_without_labels: the corpus has labels, and the store was begun without, as by an earlier version.
        first_warnings: of files that are damaged and were read, at most ``SHOWN_ERRORS``; ``stats`` counts all.
        unread: failed items whose kind of file is not read, by suffix.

    Examples:
        >>> from codectok.corpus.pipeline import tokenize_corpus
        >>> from codectok.items.corpus import read_corpus
        >>> summary = tokenize_corpus(read_corpus("corpus"), codectok.load("random"), "store")
        >>> summary.already_finished, summary.items, summary.failed
        (True, 2, 1)
    """

    out: Path
    items: int
    failed: int
    first_errors: list[ItemError]
    resumed_shards: int
    stats: dict[str, Any]
    already_finished: bool = False
    labels_left_out: tuple[str, ...] = ()
    begun_without_labels: bool = False
    first_warnings: list[ItemError] = field(default_factory=list)
    unread: Mapping[str, int] = field(default_factory=dict)


def tokenize_corpus(
    corpus: Corpus,
    tokenizer: Tokenizer,
    out: str | os.PathLike[str],
    *,
    format: str = "parquet",
    num_codebooks: int | None = None,
    flatten: bool = False,
    dedup: bool = False,
    bpe: UnitBPE | None = None,
    items_per_shard: int = 1000,
    workers: int | None = 1,
    batch_seconds: float = BATCH_SECONDS,
    overwrite: bool = False,
    progress: Progress | None = None,
    engine: Engine = "local",
    shard: tuple[int, int] | None = None,
    max_errors: int | None = None,
    device: str | None = None,
    strict: bool = False,
) -> TokenizeSummary:
    """Tokenize a corpus into a store; the same call again goes on with a run that was stopped.

    An item that fails is recorded and left out, and takes no other with it. A run that was killed and called again
    makes the same bytes as one that was not, but for the timings in ``stats.json``; a finished store is left as it is.
    Neither ``workers`` nor ``engine`` nor ``shard`` changes a byte of a shard.

    Args:
        corpus: the items.
        tokenizer: that encodes them. Workers open it again by its name, where that gives the same fingerprint.
        out: folder of the store.
        format: name of a store format.
        num_codebooks: keep the first K codebooks; default all.
        flatten: interleave the codebooks into one stream, for single-stream formats.
        dedup: merge runs of equal frames, keeping their lengths.
        bpe: hold its ids instead of codes; a BPE over merged runs goes with ``dedup``. Its codebooks are kept.
        items_per_shard: unit of work and of what a killed run loses at most.
        workers: processes, each with the tokenizer on one torch thread. 1 is this process; None, as many as there are
            usable cores, or this process where the corpus is small. In a script, more than 1 needs the call to stand
            under ``if __name__ == "__main__":``, as for every use of multiprocessing.
        batch_seconds: most audio in one batch, padding included, in seconds.
        overwrite: delete a store or unfinished run that is in ``out``.
        progress: told how far it is.
        engine: "local", or "ray" (:mod:`codectok.corpus.ray_engine`).
        shard: (i, n), from 1: make the i-th of n parts of the store, for ``codectok merge`` to join.
        max_errors: stop when more items than this have failed.
        device: for workers to run on, separated by commas ("cuda:0,cuda:1"): a model process for each, and
            ``workers`` processes that read audio for them. Default: where the tokenizer is. Its kind is an option of
            the store: a run that goes on elsewhere is refused.
        strict: refuse audio that is damaged and could yet be read, which is otherwise read with a warning.

    Raises:
        FingerprintError: ``out`` holds tokens of another tokenizer.
        FormatError: ``out`` was made from another corpus or with other options, or the format cannot hold such
            tokens, or the manifest is malformed.
        CodectokError: nothing to do, too many failures, workers that cannot run, or the disk takes no more.

    Examples:
        >>> from codectok.corpus.pipeline import tokenize_corpus
        >>> from codectok.items.corpus import read_corpus
        >>> summary = tokenize_corpus(read_corpus("corpus"), codectok.load("random"), "new-store", format="jsonl")
        >>> summary.items, summary.failed, summary.first_errors[0].id
        (2, 1, 'broken')
    """
    given = (("items_per_shard", items_per_shard), ("workers", workers), ("batch_seconds", batch_seconds))
    for name, number in given:
        if number is not None and not 0 < number < math.inf:
            raise CodectokError(f"{name} must be a number above 0, not {number}")
    _refuse_inside(corpus, Path(out))
    started = time.perf_counter()
    own = str(tokenizer.device)
    device = own if device is None and not own.startswith("cpu") else device
    if bpe is not None:
        bpe.check_tokenizer(tokenizer)
        num_codebooks = len(bpe.codebook_sizes) if num_codebooks is None else num_codebooks
    k = tokenizer.choose_codebooks(num_codebooks, None)
    scan = corpus.scan()
    info = StoreInfo(
        format=format,
        tokenizer=tokenizer.name,
        fingerprint=_name_of_codes(Path(out), tokenizer),
        sample_rate=tokenizer.sample_rate,
        frame_rate=tokenizer.frame_rate,
        codebook_sizes=tokenizer.codebook_sizes[:k],
        options=StoreOptions(dedup, flatten, items_per_shard, float(batch_seconds), device_kind(device), strict),
        manifest=scan.sha256,
        labels=kept(get_format(format).labels, scan.labels, scan.labels_sha256),
    )
    if bpe is not None:
        steps = UnitTransform.of(info.fingerprint, info.codebook_sizes, dedup=dedup, bpe=bpe)
        info = replace(info, transform=steps)
    num_shards = -(-scan.num_items // items_per_shard)
    own_bpe = bpe_of(tokenizer)
    with StoreWriter(Path(out), info, num_shards, overwrite=overwrite, part=shard, bpe=own_bpe) as writer:
        if writer.complete:
            return _summary(writer, info, scan, open_store(out).stats, len(writer.numbers))
        sizes = (min(items_per_shard, scan.num_items - n * items_per_shard) for n in writer.numbers)
        totals = Totals(sum(sizes), progress, max_errors)
        job = TokenizeJob(name_anywhere(tokenizer), tokenizer.fingerprint, k, dedup, batch_seconds, strict=strict)
        shards = (s for s in _shards(corpus, items_per_shard, scan) if s[0] in writer.numbers)
        run_engine(engine, job, tokenizer, writer, shards, totals, workers, device, corpus)
        wall = time.perf_counter() - started
        stats = writer.close(totals.run(wall))
    return _summary(writer, info, scan, stats, totals.resumed_shards)


def _shards(corpus: Corpus, items_per_shard: int, scan: Scan) -> Iterator[tuple[int, list[Item], str]]:
    """Consecutive items, numbered, and their hash; fails if the corpus is no longer the one that was scanned."""
    whole, part, number = ItemHash(corpus.root), ItemHash(corpus.root), 0
    labels = LabelHash()
    items: list[Item] = []
    for item in corpus:
        whole.add(item)
        labels.add(item.id, item.labels)
        part.add(item)
        items.append(item)
        if len(items) == items_per_shard:
            yield number, items, part.hexdigest()
            part, items, number = ItemHash(corpus.root), [], number + 1
    if items:
        yield number, items, part.hexdigest()
    if (whole.hexdigest(), labels.hexdigest()) != (scan.sha256, scan.labels_sha256):
        raise FormatError(
            f"{corpus.source} changed while it was read: delete the unfinished store and run again", path=corpus.source
        )


def _name_of_codes(out: Path, tokenizer: Tokenizer) -> str:
    """The fingerprint to write: a run that was begun under a former name of the same codes ends under it."""
    begun = begun_by(out)
    return begun if begun is not None and tokenizer.knows(begun) else tokenizer.fingerprint


def _refuse_inside(corpus: Corpus, out: Path) -> None:
    """A store holds parquet and perhaps tar files, which the next reading of such a corpus would take for its own."""
    source = corpus.source.resolve()
    if not (source.is_dir() and out.resolve().is_relative_to(source)):
        return
    if (kind := kind_of(source)) in ("parquet", "webdataset"):
        files = {"parquet": "parquet files", "webdataset": "tar files"}[kind]
        raise CodectokError(f"{out} is inside the corpus, and all {files} there are read: choose a folder outside")


def _summary(
    writer: StoreWriter, wanted: StoreInfo, scan: Scan, stats: dict[str, Any], resumed: int
) -> TokenizeSummary:
    store = open_store(writer.out)
    unread = Counter(_suffix(e) for e in store.iter_errors() if e.kind == _UNREAD)
    errors = list(islice((e for e in store.iter_errors() if e.kind != _UNREAD), SHOWN_ERRORS))
    warnings = list(islice(store.iter_warnings(), SHOWN_ERRORS))
    kept_names = () if wanted.labels is None else wanted.labels.types
    lost = tuple(name for name in scan.labels if name not in kept_names)
    lacking = wanted.labels is not None and store.info.labels is None
    return TokenizeSummary(
        writer.out,
        stats["items"],
        stats["failed"],
        errors,
        resumed,
        stats,
        writer.complete,
        lost,
        lacking,
        warnings,
        unread,
    )


def _suffix(error: ItemError) -> str:
    """Of the file that an error is of; of a member of a tar file, which its message begins with."""
    name = error.message.partition(" is not read")[0]
    return os.path.splitext(name)[1].lower()

"""A store in another format, shard by shard."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from codectok.errors import CodeRangeError, FormatError
from codectok.log import logger
from codectok.store.formats.table import get_format
from codectok.store.info import Row, StoreInfo
from codectok.store.joined_labels import JoinedLabels
from codectok.store.label_columns import kept
from codectok.store.reader import Store, open_store
from codectok.store.record import is_whole
from codectok.store.writer import StoreWriter
from codectok.transforms.unit_bpe import UnitBPE
from codectok.transforms.unit_transform import UnitTransform

LOG = logger(__name__)


def convert_store(
    store: Store,
    out: str | os.PathLike[str],
    *,
    format: str | None = None,
    num_codebooks: int | None = None,
    flatten: bool = False,
    dedup: bool | None = None,
    bpe: UnitBPE | bool = True,
    labels: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Store:
    """Write the same items, in another format or with other labels; goes on with a conversion that was stopped.

    A format holds ids, codes, durations and ``num_samples``, or refuses: only ``num_codebooks`` leaves any of these
    out. Of labels it keeps those that it has a place for.

    Args:
        store: to read.
        out: folder of the new store.
        format: its format; default, that of ``store``.
        num_codebooks: keep the first K codebooks; default all.
        flatten: interleave the codebooks into one stream, for single-stream formats.
        dedup: merge runs of equal frames and keep their lengths (True), undo that (False), default as the store is.
        bpe: hold its ids instead of codes; True, as the store does; False, codes.
        labels: a manifest of any kind whose labels are joined by id; where the store has a label of the name already,
            that of the manifest counts.
        overwrite: delete a store or unfinished conversion that is in ``out``.
        progress: told the number of items of each shard that is done.
        say: told a line for each thing that is left out.

    Raises:
        CodeRangeError: more codebooks than the store has.
        FormatError: a damaged store, a format that cannot hold it, or an ``out`` with something else in it.
        FingerprintError: ``out`` holds tokens of another tokenizer.
    """
    started = time.perf_counter()
    if Path(out).resolve() == store.folder.resolve():
        raise FormatError(f"{out} is the store that is read: choose another folder", path=out)
    if store.part is not None:
        raise FormatError(
            f"{store.folder} is part {store.part} of a job: join the parts first (codectok merge)", path=store.folder
        )
    top = len(store.info.codebook_sizes)
    k = top if num_codebooks is None else num_codebooks
    if not 1 <= k <= top:
        raise CodeRangeError(f"{store.folder} has {top} codebooks, {k} asked for")
    options = replace(store.info.options, flatten=flatten, dedup=store.info.options.dedup if dedup is None else dedup)
    form = get_format(format or store.info.format)
    steps = store.info.transform if bpe is True else None
    if steps is not None and (k != top or options.dedup != steps.dedup):
        raise FormatError(f"{store.folder} holds BPE ids, which are of all its codebooks: add --no-bpe to change those")
    if isinstance(bpe, UnitBPE):
        sizes = store.info.codebook_sizes[:k]
        steps = UnitTransform.of(store.fingerprint, sizes, dedup=options.dedup, bpe=bpe)
    joined = None if labels is None else JoinedLabels.read(store, labels)
    had = store.info.labels if joined is None else joined.columns
    info = replace(
        store.info,
        format=form.name,
        codebook_sizes=store.info.codebook_sizes[:k],
        options=options,
        transform=steps,
        labels=None if had is None else kept(form.labels, had.types, had.sha256),
    )
    if say is not None:
        for line in left_out(replace(store.info, labels=had), info):
            say(line)
    with StoreWriter(Path(out), info, store.num_shards, overwrite=overwrite) as writer:
        if writer.info.labels != info.labels or (writer.complete and open_store(out).info.labels != info.labels):
            raise FormatError(
                f"{out} was made without these labels: choose another folder, or --overwrite it", path=out
            )
        if writer.complete:
            return open_store(out)
        for shard, entry in enumerate(store.shards):
            source = ":".join(entry["files"].values())
            if writer.has_shard(shard, source):
                LOG.info("shard %d of %s is there already", shard, out)
            else:
                if not is_whole(store.folder, entry):  # a flipped bit may give another code, and no error
                    raise FormatError(
                        f"shard {shard} of {store.folder} is damaged: make the store again", path=store.folder
                    )
                rows = [_changed(row, info, joined) for row in store.read_shard(shard)]
                # All failed items go with the first shard: only their order matters.
                writer.write_shard(shard, rows, [] if shard else [*store.errors, *store.iter_warnings()], source)
            if progress is not None:
                progress(entry["rows"])
        writer.close({"wall_seconds": time.perf_counter() - started})
    return open_store(out)


def left_out(old: StoreInfo, new: StoreInfo) -> list[str]:
    """A line for each thing that ``old`` has and ``new``, converted from it, has not."""
    top, k = len(old.codebook_sizes), len(new.codebook_sizes)
    lost = [] if k == top else [f"codebooks {k + 1} to {top} of {top}" if k + 1 < top else f"codebook {top} of {top}"]
    had, has = (() if info.labels is None else info.labels.types for info in (old, new))
    names = [name for name in had if name not in has]
    return lost + ([f"labels that {new.format} has no place for: {', '.join(names)}"] if names else [])


def _changed(row: Row, info: StoreInfo, joined: JoinedLabels | None) -> Row:
    labels = row.labels if joined is None else joined.of(row)
    tokens, k, dedup = row.tokens, len(info.codebook_sizes), info.options.dedup
    if (tokens.durations is not None) != dedup or k != tokens.num_codebooks:
        tokens = tokens.expand().first(k)  # frames that differed in a codebook left out now form one run
        tokens = tokens.dedup() if dedup else tokens
    return Row(row.id, tokens, labels)

"""The parts of a job that ran on many machines, as the store that one run would have made."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from codectok.errors import CodectokError, FingerprintError, FormatError
from codectok.files.atomic import atomic_path
from codectok.files.inside import inside
from codectok.fingerprint import same
from codectok.log import logger
from codectok.store.files import sha256_of, write_json, writing
from codectok.store.reader import Store, open_store
from codectok.store.record import Record, read_record, record_path
from codectok.store.writer import StoreWriter

LOG = logger(__name__)


def merge_stores(
    parts: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Store:
    """Join parts 1 to N of one job; what it writes is, to the byte, what an undivided run writes.

    Shards are linked where ``out`` is on the same file system and copied elsewhere, and their sha256 is compared
    either way; nothing is encoded again. Only ``run`` in ``stats.json`` differs. A merge that was stopped goes on.

    Args:
        parts: folders, in any order.
        out: folder of the whole store.
        overwrite: delete a store or unfinished merge that is in ``out``.
        progress: told the number of items of each shard that is done.

    Raises:
        FingerprintError: parts of different tokenizers.
        FormatError: parts that are not finished, damaged, of different jobs, or not all parts of one.
        CodectokError: ``out`` cannot be written to, or is one of the parts.
    """
    stores = _in_order([open_store(part) for part in parts])
    out = Path(out)
    if any(store.folder.resolve() == out.resolve() for store in stores):
        raise CodectokError(f"{out} is one of the parts: choose another folder")
    info, num_shards = stores[0].info, stores[0].job_shards
    with StoreWriter(out, info, num_shards, overwrite=overwrite) as writer:
        if writer.complete:
            return open_store(out)
        for number in writer.numbers:
            source = stores[number % len(stores)].folder
            record = read_record(source, number)
            if writer.has_shard(number, record["items"]):
                LOG.info("shard %d of %s is there already", number, out)
            else:
                with writing(out):
                    _take(source, out, record)
                    write_json(record_path(out, number), record, indent=None)
            if progress is not None:
                progress(record["rows"])
        runs: dict[str, Any] = {str(store.part): store.stats["run"] for store in stores}
        writer.close({"parts": runs})
    return open_store(out)


def _in_order(stores: Sequence[Store]) -> list[Store]:
    """All parts of one job, first to last."""
    if not stores:
        raise FormatError("there are no parts: give the folders that `codectok tokenize --shard I/N` made")
    first = stores[0]
    found: dict[int, Store] = {}
    for store in stores:
        if store.part is None:
            raise FormatError(
                f"{store.folder} is a whole store, not a part made with --shard I/N: leave it out", path=store.folder
            )
        _refuse_other_job(first, store)
        i, n = map(int, store.part.split("/"))
        if i in found:
            raise FormatError(
                f"{found[i].folder} and {store.folder} are both part {store.part}: leave one out", path=store.folder
            )
        found[i] = store
    missing = [str(i) for i in range(1, n + 1) if i not in found]
    if missing:
        several = "s" if len(missing) > 1 else ""
        raise FormatError(
            f"part{several} {', '.join(missing)} of {n} {'are' if several else 'is'} missing: give all {n}, made "
            "with --shard I/N"
        )
    return [found[i] for i in range(1, n + 1)]


def _refuse_other_job(first: Store, store: Store) -> None:
    here, there = first.info, store.info
    both = f"{first.folder} and {store.folder}"
    remedy = "merge parts of one job only"
    if not same(here.fingerprint, there.fingerprint):
        raise FingerprintError(
            f"{both} are of different tokenizers ({here.tokenizer}, {there.tokenizer}): {remedy}",
            wanted=here.fingerprint,
            found=there.fingerprint,
        )
    if here.manifest != there.manifest:
        raise FormatError(f"{both} are of different corpora, or the corpus changed in between: {remedy}")
    assert first.part is not None
    assert store.part is not None
    old = {**here.to_json(), "number of parts": first.part.split("/")[1], "number of shards": first.job_shards}
    new = {**there.to_json(), "number of parts": store.part.split("/")[1], "number of shards": store.job_shards}
    changed = [f"{key} {old[key]} and {new[key]}" for key in old if old[key] != new[key]]
    if changed:
        raise FormatError(f"{both} differ in {'; '.join(changed)}: {remedy}")


def _take(source: Path, out: Path, record: Record) -> None:
    """The files of one shard, checked."""
    (out / "shards").mkdir(exist_ok=True)
    for name, expected in record["files"].items():
        old, new = inside(source / "shards", name, source), out / "shards" / name
        if not old.is_file():
            raise FormatError(f"{old} is missing: copy the part again, or make it again with --overwrite")
        new.unlink(missing_ok=True)
        # The record comes after the files: a link that a killed merge left without one is made again.
        with contextlib.suppress(OSError):
            os.link(old, new)
        if not new.exists():
            LOG.info("%s cannot be linked to: it is copied", old)
            with atomic_path(new) as partial:
                shutil.copyfile(old, partial)
        if sha256_of(new) != expected:
            new.unlink()
            raise FormatError(f"{old} is damaged: copy the part again, or make it again with --overwrite")

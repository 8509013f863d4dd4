"""The local engine: shards through this process or through worker processes, with the same bytes from each."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from codectok import registry
from codectok.corpus.job import Job, ShardWorker
from codectok.corpus.pool import Pool, StartError
from codectok.corpus.scheduler import Finished, Scheduler, Shard
from codectok.corpus.totals import Totals
from codectok.errors import CodectokError
from codectok.tokenizer import Tokenizer


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def name_anywhere(tokenizer: Tokenizer) -> str:
    """What opens a tokenizer in another process, whatever its folder; empty if nothing does."""
    name = tokenizer.name
    if name in _installed():
        return name
    before, colon, rest = name.partition(":")
    prefix = before + colon if colon and before in _installed() else ""
    folder = Path(rest if prefix else name)
    if folder.is_dir():
        return prefix + os.path.abspath(folder)
    if prefix:
        return name
    return name if name.count("/") == 1 and not name.startswith((".", "/")) else ""


def _installed() -> set[str]:
    """Names of tokenizers that another process knows too."""
    return {entry.name for entry in registry.entries("tokenizers") if entry.package}


def in_process(worker: ShardWorker, shards: Iterator[Shard], totals: Totals) -> Iterator[Finished]:
    """Yield shard after shard, tokenized in this process."""
    for number, items, digest in shards:
        totals.tick()
        result = worker.tokenize(items, totals.told)
        totals.tick()
        yield number, digest, result


def in_workers(
    job: Job,
    tokenizer: Tokenizer,
    devices: Sequence[str],
    shards: Iterator[Shard],
    totals: Totals,
    processes: int = 0,
) -> Iterator[Finished]:
    """Yield shards as worker processes finish them.

    A tokenizer that no name opens is sent as it is; one that cannot be sent works in this process alone.

    Args:
        job: what to do.
        tokenizer: the job's, open in this process.
        devices: the device of each worker.
        shards: what to do it to.
        totals: told how far it is.
        processes: that read audio for each worker; 0 for a thread in it.

    Raises:
        CodectokError: workers cannot begin, or no item can succeed.
    """
    pool = None
    try:
        pool = _start(job, tokenizer, devices, processes)
        if pool is None:
            yield from in_process(ShardWorker(job, tokenizer), shards, totals)
            return
        totals.workers = len(devices)
        yield from Scheduler(pool, tokenizer, job.batch_seconds, shards, totals).run()
    finally:
        if pool is not None:
            totals.startup_seconds = pool.startup_seconds
            pool.close()


def _start(job: Job, tokenizer: Tokenizer, devices: Sequence[str], processes: int) -> Pool | None:
    if job.tokenizer:
        pool = Pool([pickle.dumps((replace(job, device=d), None)) for d in devices], processes)
        try:
            pool.wait_until_one_is_ready()
            return pool
        except BaseException as error:
            pool.close()
            if not (isinstance(error, StartError) and error.kind in ("FingerprintError", "UnknownTokenizerError")):
                raise
    if any(not d.startswith("cpu") for d in devices):
        raise CodectokError(f"{tokenizer.name} cannot be opened by its name on {devices[0]}: save it to a model folder")
    try:
        payload = pickle.dumps((job, tokenizer))
    except Exception:  # whatever a class of someone else's raises
        return None
    return Pool([payload] * len(devices), processes)

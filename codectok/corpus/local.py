"""The local engine: shards through this process or through worker processes, with the same bytes from each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from codectok import registry
from codectok.corpus.crew import PRELOAD
from codectok.corpus.job import ShardResult, TokenizeJob
from codectok.corpus.scheduler import Finished, Scheduler, Shard
from codectok.corpus.totals import Totals
from codectok.corpus.worker import Encode, WorkerTask
from codectok.errors import CodectokError, FingerprintError, UnknownTokenizerError
from codectok.items.item import Item
from codectok.log import logger
from codectok.processes import Inline, Pool
from codectok.tokenizer import Tokenizer

LOG = logger(__name__)

AHEAD = 2
"""Tasks that a worker has at a time: one with the model, one being read."""


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


class ShardWorker:
    """Tokenizes whole shards in this process, one thread for the model and one that reads ahead.

    Args:
        job: what to do.
        tokenizer: the job's, where it is open already.

    Raises:
        CodectokError: the tokenizer cannot be opened.
        FingerprintError: it is another than the job's.
    """

    def __init__(self, job: TokenizeJob, tokenizer: Tokenizer | None = None) -> None:
        self.job = job
        self.tokenizer = job.open() if tokenizer is None else tokenizer

    def tokenize(self, items: Sequence[Item]) -> ShardResult:
        """Tokenize the items of one shard, all of them, in order."""
        [(_, _, result)] = in_process(self.job, self.tokenizer, iter([(0, list(items), "")]), Totals(len(items)))
        return result


def in_process(job: TokenizeJob, tokenizer: Tokenizer, shards: Iterator[Shard], totals: Totals) -> Iterator[Finished]:
    """Yield shard after shard, tokenized in this process."""
    with Inline(Encode(job, tokenizer)) as pool:
        yield from Scheduler(pool, tokenizer, job.batch_seconds, shards, totals).run()


def in_workers(
    job: TokenizeJob,
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
    pool = _start(job, tokenizer, devices, processes)
    if pool is None:
        yield from in_process(job, tokenizer, shards, totals)
        return
    with pool:
        totals.workers = len(devices)
        yield from Scheduler(pool, tokenizer, job.batch_seconds, shards, totals).run()
        totals.startup_seconds = pool.startup_seconds


def _start(
    job: TokenizeJob, tokenizer: Tokenizer, devices: Sequence[str], processes: int
) -> Pool[WorkerTask, Any] | None:
    if job.tokenizer:
        pool = _pool([Encode(replace(job, device=d), None, processes) for d in devices])
        try:
            pool.start(len(devices))
            return pool
        except (FingerprintError, UnknownTokenizerError) as error:
            LOG.info("workers cannot open %s by its name (%s): they get it as it is", tokenizer.name, error)
            pool.close()
        except BaseException:
            pool.close()
            raise
    if any(not d.startswith("cpu") for d in devices):
        raise CodectokError(f"{tokenizer.name} cannot be opened by its name on {devices[0]}: save it to a model folder")
    try:
        return _pool([Encode(job, tokenizer, processes)] * len(devices))
    except Exception as error:  # whatever pickling a class of someone else's raises
        LOG.warning("%s cannot be sent to workers (%s): this process does all", tokenizer.name, error)
        return None


def _pool(works: Sequence[Encode]) -> Pool[WorkerTask, Any]:
    nested = works[0].processes > 0
    ahead = AHEAD * (2 if nested else 1)
    return Pool(works, ahead=ahead, alone=lambda task: task.deaths > 0, preload=PRELOAD, nested=nested)

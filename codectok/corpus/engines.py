"""Which engine makes the shards, and who writes them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Literal

from codectok.corpus.crew import default_workers
from codectok.corpus.job import TokenizeJob
from codectok.corpus.local import in_process, in_workers
from codectok.corpus.scheduler import Finished, Shard
from codectok.corpus.totals import Totals
from codectok.errors import CodectokError
from codectok.items.corpus import Corpus
from codectok.log import logger
from codectok.processes import map_in_threads, usable_cores
from codectok.store.record import read_record
from codectok.store.writer import StoreWriter
from codectok.tokenizer import Tokenizer

LOG = logger(__name__)

Engine = Literal["local", "ray"]


def device_kind(device: str | None) -> str:
    """What a store says of where its tokens were made: "cpu", "cuda".

    Args:
        device: one or more, separated by commas; None is the processor.

    Raises:
        CodectokError: no devices, or of several kinds.
    """
    kinds = {d.partition(":")[0] for d in _devices(device)}
    if len(kinds) != 1 or "" in kinds:
        raise CodectokError(f"--device {device} is not one kind of device: give one, or several as cuda:0,cuda:1")
    return kinds.pop()


def _devices(device: str | None) -> list[str]:
    return ["cpu"] if device is None else [d.strip() for d in device.split(",")]


def run_engine(
    engine: Engine,
    job: TokenizeJob,
    tokenizer: Tokenizer,
    writer: StoreWriter,
    shards: Iterator[Shard],
    totals: Totals,
    workers: int | None,
    device: str | None,
    corpus: Corpus,
) -> None:
    """Make and write all shards that are not there yet. See :func:`codectok.corpus.pipeline.tokenize_corpus`.

    Raises:
        CodectokError: an unknown engine, too many failures, workers that cannot run, or the disk takes no more.
    """
    if engine not in ("local", "ray"):
        raise CodectokError(f"there is no engine {engine!r}: give local or ray")
    missing = _missing(writer, shards, totals)
    first = next(missing, None)
    if first is None:
        return
    missing = chain([first], missing)
    if engine == "ray":
        _run_ray(replace(job, device=device or job.device), writer, missing, totals, workers)
        return
    devices = _devices(device)
    count = workers or (default_workers(corpus) if device is None else usable_cores())
    if devices != ["cpu"]:
        readers = max(1, count // len(devices))
        _write(in_workers(job, tokenizer, devices, missing, totals, readers), writer, totals)
    elif count == 1:
        _write(in_process(job, tokenizer, missing, totals), writer, totals)
    else:
        _write(in_workers(job, tokenizer, ["cpu"] * count, missing, totals), writer, totals)


def _missing(writer: StoreWriter, shards: Iterator[Shard], totals: Totals) -> Iterator[Shard]:
    for number, items, digest in shards:
        if writer.has_shard(number, digest):
            totals.resumed(len(items), len(read_record(writer.out, number)["errors"]))
        else:
            yield number, items, digest
    if totals.resumed_shards:
        LOG.info("%d shards of %s were there already: they are kept as they are", totals.resumed_shards, writer.out)


def _write(finished: Iterator[Finished], writer: StoreWriter, totals: Totals) -> None:
    """Write each shard on a thread, while the next is being made; one waits at most."""

    def write(made: Finished) -> None:
        number, digest, result = made
        totals.add(result.timing)
        writer.write_shard(number, result.rows, result.errors, digest)

    with contextlib.closing(finished) as found:  # type: ignore[type-var]
        for _ in map_in_threads(write, found, ahead=1, drop=False):
            pass


def _run_ray(
    job: TokenizeJob, writer: StoreWriter, shards: Iterator[Shard], totals: Totals, workers: int | None
) -> None:
    from codectok.corpus.ray_engine import run_shards

    if not job.tokenizer:
        raise CodectokError("--engine ray needs a tokenizer that other processes can open: a name or a model folder")
    totals.tick()
    timing = run_shards(job, writer.info, writer.out, shards, totals.told, workers)
    totals.tick()
    totals.workers = int(timing.pop("workers", 1))
    totals.add(timing)

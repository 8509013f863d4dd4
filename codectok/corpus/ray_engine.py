"""The Ray engine: whole shards over the actors of a Ray cluster, by Ray Data; from a laptop to many machines.

What travels is small: the driver writes the list of shards into the store's work folder, Ray Data streams their numbers
through a pool of actors that grows with what is waiting, and each actor reads its shard's line, tokenizes it and writes
its files and record. So corpus and store must lie where every machine finds them under the same path.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codectok.corpus.job import TokenizeJob
from codectok.corpus.local import ShardWorker
from codectok.corpus.reading import Failure
from codectok.errors import CodectokError
from codectok.extras import need
from codectok.items.item import Item
from codectok.processes import usable_cores
from codectok.store.files import writing
from codectok.store.info import StoreInfo
from codectok.store.record import read_record, record_path, write_shard_files
from codectok.transforms.unit_bpe import UnitBPE, bpe_of

Done = Callable[[int, Sequence[Failure]], None]
TIMINGS = ("read_seconds", "encode_seconds", "audio_seconds")
STORE_BYTES = 200 * 2**20
"""Object store of a cluster of this process's own: only numbers go through it."""


def run_shards(
    job: TokenizeJob,
    info: StoreInfo,
    out: Path,
    shards: Iterator[tuple[int, list[Item], str]],
    done: Done,
    workers: int | None = None,
) -> dict[str, float]:
    """Make shards on a Ray cluster: the one of ``RAY_ADDRESS`` where that is set, else this machine.

    Args:
        job: what to do; its tokenizer must be known by that name on every machine.
        info: of the store.
        out: its folder, shared by all machines.
        shards: numbers, items and their hash, of the shards to be made.
        done: told after each shard how many items it had, and which failed.
        workers: most actors; default as many as the cluster has, or can get, room for.

    Returns:
        sums of the shards' ``read_seconds``, ``encode_seconds`` and ``audio_seconds``, and ``workers``, the actors
        that had a part in it.

    Raises:
        CodectokError: Ray is missing, a shard cannot be made, or ``out`` is not shared.
    """
    out = out.resolve()
    todo = out / ".work" / "todo.jsonl"
    try:
        with writing(out):
            offsets = _write_todo(todo, shards)
        if not offsets:
            return dict.fromkeys(TIMINGS, 0.0)
        with _cluster(workers) as data:
            return _run(data, job, info, out, offsets, done, workers)
    finally:
        todo.unlink(missing_ok=True)


def _run(
    data: Any, job: TokenizeJob, info: StoreInfo, out: Path, offsets: list[int], done: Done, workers: int | None
) -> dict[str, float]:
    gpu = job.device.startswith("cuda")
    # A block, and so a task, a shard: the pool grows by the number of shards that wait.
    dataset = data.range(len(offsets), override_num_blocks=len(offsets)).map_batches(
        ShardActor,
        fn_constructor_args=(job, info, str(out), np.array(offsets)),
        compute=data.ActorPoolStrategy(min_size=1, max_size=workers),
        batch_size=1,
        num_cpus=1,
        num_gpus=1 if gpu else None,
    )
    sums, actors = dict.fromkeys(TIMINGS, 0.0), set()
    for row in dataset.iter_rows():
        if row["error"]:
            raise CodectokError(f"shard {row['number']} cannot be made on {row['host']}: {row['error']}")
        if not record_path(out, row["number"]).is_file():
            raise CodectokError(
                f"{row['host']} wrote shard {row['number']} to a {out} of its own: give a folder that all machines "
                "share"
            )
        actors.add((row["host"], row["process"]))
        for name in TIMINGS:
            sums[name] += row[name]
        errors = read_record(out, row["number"])["errors"] if row["failed"] else []
        done(row["items"], [Failure(e["kind"], e["message"]) for e in errors])
    return {**sums, "workers": float(len(actors))}


class ShardActor:
    """Holds a tokenizer and makes one shard after the other; all that goes wrong comes back as a line of text."""

    def __init__(self, job: TokenizeJob, info: StoreInfo, out: str, offsets: np.ndarray) -> None:
        self.job, self.info, self.out, self.offsets = job, info, Path(out), offsets
        self.worker: ShardWorker | None = None
        self.bpe: UnitBPE | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Rows of ``ray.data.range`` in, one each out."""
        rows = [self._make(int(place)) for place in batch["id"]]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _make(self, place: int) -> dict[str, Any]:
        report = {"number": -1, "items": 0, "failed": 0, "error": "", "host": socket.gethostname()}
        report |= {"process": os.getpid(), **dict.fromkeys(TIMINGS, 0.0)}
        try:
            number, items, digest = _read_todo(self.out / ".work" / "todo.jsonl", int(self.offsets[place]))
            report["number"] = number
            if self.worker is None:
                self.worker = ShardWorker(self.job)
                self.bpe = bpe_of(self.worker.tokenizer)
            result = self.worker.tokenize(items)
            write_shard_files(self.out, self.info, number, result.rows, result.errors, digest, self.bpe)
            report |= {"items": len(items), "failed": result.num_failed}
            report |= {name: float(result.timing[name]) for name in TIMINGS}
        except Exception as e:  # one line for the driver, instead of the traceback of another process
            report["error"] = " ".join(str(e).split())[:500] or type(e).__name__
        return report


def _write_todo(path: Path, shards: Iterator[tuple[int, list[Item], str]]) -> list[int]:
    """A line a shard; gives where each begins."""
    offsets = []
    with open(path, "wb") as f:
        for number, items, digest in shards:
            offsets.append(f.tell())
            line = json.dumps([number, digest, [dataclasses.astuple(item) for item in items]])
            f.write(line.encode() + b"\n")
    return offsets


def _read_todo(path: Path, offset: int) -> tuple[int, list[Item], str]:
    with open(path, "rb") as f:
        f.seek(offset)
        number, digest, items = json.loads(f.readline())
    return number, [Item(*fields) for fields in items], digest


@contextlib.contextmanager
def _cluster(workers: int | None) -> Iterator[Any]:
    """Ray Data on a cluster, quiet; one that was begun here ends here."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    need("--engine ray needs", "scale", "ray")
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ours = not ray.is_initialized()
    if ours:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        address = os.environ.get("RAY_ADDRESS")
        try:
            if address:
                ray.init(address=address, **quiet)
            else:
                # Room for the pool and for the task that feeds it.
                cores = max(2, (workers or usable_cores()) + 1)
                ray.init(num_cpus=cores, object_store_memory=STORE_BYTES, include_dashboard=False, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as e:
            where = f"the Ray cluster at {address}" if address else "Ray on this machine"
            raise CodectokError(f"cannot reach {where}: {' '.join(str(e).split())[:200]}") from e
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.verbose_progress = False
    try:
        yield ray.data
    finally:
        if ours:
            ray.shutdown()

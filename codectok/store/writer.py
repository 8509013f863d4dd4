"""Writing a store shard by shard, so that a killed run goes on where it stopped.

While a store is being made, ``.work/job.json`` says what is being made and ``.work/00000.json`` that shard 0 is whole,
with the sha256 of its files. ``store.json`` comes last of all: a folder that has it is complete.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from codectok.errors import FingerprintError, FormatError
from codectok.files.atomic import sweep
from codectok.files.folder_lock import FolderLock
from codectok.fingerprint import same
from codectok.store.bpe_rows import stored_info
from codectok.store.files import part_numbers, read_json, write_json, writing
from codectok.store.finish import finish_store
from codectok.store.formats.table import extras_of_all, get_format
from codectok.store.info import ItemError, StoreInfo, need_pyarrow
from codectok.store.names import BPE_FORMATS
from codectok.store.record import is_whole, read_record, record_path, write_shard_files
from codectok.store.stats import Merger
from codectok.tokens import Tokens
from codectok.transforms.bpe_file import NAME as BPE_FILE

__all__ = ["StoreWriter", "part_numbers", "write_shard_files"]
DESCRIPTIONS = ("store.json", "index.parquet", "errors.jsonl", "stats.json", "stats.html")


def begun_by(out: Path) -> str | None:
    """Fingerprint of the tokenizer whose store, finished or not, lies in a folder; None where none does."""
    for path in (out / ".work" / "job.json", out / "store.json"):
        if path.is_file():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # damage is told by what opens it
                return str(json.loads(path.read_text())["fingerprint"])
    return None


class StoreWriter:
    """Makes one store, or one part of it. Use it in a ``with`` block: it locks the folder against a second run.

    Args:
        out: folder of the store; created, or gone on with where an unfinished run of the same job left it.
        info: what is being made; a run that was begun without labels goes on without (``self.info`` says so).
        num_shards: that the whole job has.
        overwrite: begin afresh, deleting a store or unfinished run in ``out``.
        part: (i, n), from 1: only every n-th shard, from the i-th on. ``codectok.store.merge`` joins the parts.
        bpe: of the tokenizer, where it has one: what it would leave is counted.

    Raises:
        FingerprintError: ``out`` holds tokens of another tokenizer.
        FormatError: ``out`` holds another job or other files, or the format cannot hold such tokens.
        CodectokError: another run writes there, it cannot be written to, or there is no such part.
    """

    def __init__(
        self,
        out: Path,
        info: StoreInfo,
        num_shards: int,
        *,
        overwrite: bool = False,
        part: tuple[int, int] | None = None,
        bpe: Merger | None = None,
    ) -> None:
        need_pyarrow()
        self.out, self.info, self.num_shards, self.part, self.bpe = out, info, num_shards, part, bpe
        self.numbers: Sequence[int] = part_numbers(num_shards, part)
        """Numbers of the shards that are to be made."""
        if info.transform is not None and not get_format(info.format).bpe_ids:
            raise FormatError(f"{info.format} holds no BPE ids: use --format {', --format '.join(BPE_FORMATS)}")
        get_format(info.format).check(stored_info(info))
        self._work = out / ".work"
        self._part = {} if part is None else {"part": f"{part[0]}/{part[1]}", "job_shards": num_shards}
        self._lock: FolderLock | None = None
        self.complete = self._begin(overwrite)
        """Whether the store was finished before."""

    def _begin(self, overwrite: bool) -> bool:
        found = self._found()
        if found is not None and not overwrite and self._has_work():
            self._refuse_other_job(found)
        if (self.out / "store.json").exists() and not overwrite and (self._part or not self._work.exists()):
            return True
        with writing(self.out):
            self._lock = FolderLock(self.out, ".work/lock")
            try:
                found = self._found()  # again: another run may just have ended
                if overwrite and found is not None:
                    self._clear()
                elif found is not None and self._has_work():
                    self._refuse_other_job(found)
                if (self.out / "store.json").exists():
                    self._close_work()
                    return True
                self._keep_labels(found)
                self._sweep()
                write_json(self._work / "job.json", self._job())
            except BaseException:
                self.release()
                raise
        return False

    def has_shard(self, shard: int, items: str) -> bool:
        """Whether a shard made from these ``items`` (their sha256) lies there whole; its content is read to tell."""
        if not record_path(self.out, shard).exists():
            return False
        record = read_record(self.out, shard)
        return record.get("items") == items and is_whole(self.out, record)

    def write_shard(
        self, shard: int, rows: Sequence[tuple[str, Tokens]], errors: Sequence[ItemError], items: str
    ) -> None:
        """Write one shard, then the record that it is whole. ``rows`` and ``errors`` are in manifest order."""
        write_shard_files(self.out, self.info, shard, rows, errors, items, self.bpe)

    def close(self, run: dict[str, Any]) -> dict[str, Any]:
        """Write the index, errors, statistics and, last, ``store.json``; returns the statistics.

        Args:
            run: figures of this run (seconds, speed), kept apart in ``stats.json`` because they differ each time.
        """
        stats = finish_store(self.out, self.info, self.numbers, run, self._part)
        self._close_work()
        return stats

    def release(self) -> None:
        """Let another run have the folder. ``close`` and the end of a ``with`` block do."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def _job(self) -> dict[str, Any]:
        return {**self.info.to_json(), **self._part}

    def _close_work(self) -> None:
        # A part keeps its records: the whole store is ended from them. The lock's file goes while it is held.
        if self._part:
            (self._work / "job.json").unlink(missing_ok=True)
        else:
            shutil.rmtree(self._work)
        self.release()

    def _found(self) -> dict[str, Any] | None:
        """What an earlier run was making here."""
        if self.out.exists() and not self.out.is_dir():
            raise FormatError(f"{self.out} is a file: choose another name for the store's folder", path=self.out)
        for path in (self.out / "store.json", self._work / "job.json"):
            if path.exists():
                entry = read_json(path)
                StoreInfo.from_json(entry, path)
                return entry
        if self.out.exists() and any(p.name != ".work" for p in self.out.iterdir()):
            raise FormatError(f"{self.out} holds other files than a store: choose another folder", path=self.out)
        return None

    def _keep_labels(self, found: dict[str, Any] | None) -> None:
        """A run that was begun without labels, as by 0.1, is ended so: its first shards have none."""
        if found is not None and self._has_work() and StoreInfo.from_json(found, self.out).labels is None:
            self.info = replace(self.info, labels=None)

    def _has_work(self) -> bool:
        """Whether there is more in the folder than a job that was begun: without, another one may take its place."""
        return (self.out / "store.json").exists() or next(self._work.glob("[0-9]*.json"), None) is not None

    def _sweep(self) -> None:
        """Remove the temporary files that a killed run left."""
        for folder in (self.out, self.out / "shards", self._work):
            sweep(folder)

    def _clear(self) -> None:
        # In this order a kill at any point leaves the old store whole or the new job begun, never a store that
        # claims shards it lost.
        for path in self._work.glob("*.json"):
            path.unlink()
        write_json(self._work / "job.json", self._job())
        (self.out / "store.json").unlink(missing_ok=True)
        shutil.rmtree(self.out / "shards", ignore_errors=True)
        for name in (*DESCRIPTIONS, BPE_FILE, *extras_of_all()):
            (self.out / name).unlink(missing_ok=True)

    def _refuse_other_job(self, found: dict[str, Any]) -> None:
        out, wanted = self.out, self.info
        was = StoreInfo.from_json(found, out)
        remedy = f"delete {out} (--overwrite does), or choose another folder"
        if not same(was.fingerprint, wanted.fingerprint):
            raise FingerprintError(
                f"{out} holds tokens of {was.tokenizer} ({was.fingerprint}), not of {wanted.tokenizer} "
                f"({wanted.fingerprint}): {remedy}",
                wanted=wanted.fingerprint,
                found=was.fingerprint,
            )
        if was.manifest != wanted.manifest:
            raise FormatError(
                f"{out} was made from another corpus, or the corpus has changed since: {remedy}", path=out
            )
        if was.labels not in (None, wanted.labels):
            raise FormatError(
                f"{out} has other labels than the corpus has now: to join those to a finished store, use codectok "
                f"convert --labels; else {remedy}",
                path=out,
            )
        old, new = _as_given(was), _as_given(wanted)
        changed = [f"{name} {old[name]} is now {new[name]}" for name in old if old[name] != new[name]]
        if changed:
            raise FormatError(f"{out} was made with other options ({', '.join(changed)}): {remedy}", path=out)
        if found.get("part") != self._part.get("part"):
            names = [f"part {p}" if p else "the whole corpus" for p in (found.get("part"), self._part.get("part"))]
            raise FormatError(f"{out} holds {names[0]}, not {names[1]}: give each part a folder of its own", path=out)


def _as_given(info: StoreInfo) -> dict[str, object]:
    """What the commands' options decide, by their names."""
    options, sizes = info.options, info.codebook_sizes
    return {
        "--format": info.format,
        "--codebooks": len(sizes),
        "--dedup": "yes" if options.dedup else "no",
        "--flatten": "yes" if options.flatten else "no",
        "--shard-size": options.items_per_shard,
        "--batch-seconds": f"{options.batch_seconds:g}",
        "--device": options.device,
        "--strict": "yes" if options.strict else "no",
        "--bpe": "no" if info.transform is None else info.transform.bpe,
    }

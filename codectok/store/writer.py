"""Writing a store shard by shard, so that a killed run goes on where it stopped.

While a store is being made, ``.work/job.json`` says what is being made and ``.work/00000.json`` that shard 0 is whole,
with the sha256 of its files. ``store.json`` comes last of all: a folder that has it is complete.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codectok.atomic import atomic_path
from codectok.errors import FingerprintError, FormatError
from codectok.store.base import ItemError, Row, StoreInfo, need_pyarrow, shard_path
from codectok.store.files import read_json, sha256_of, write_json
from codectok.store.formats import get_format
from codectok.store.stats import UnitCounts


class StoreWriter:
    """Makes one store.

    Args:
        out: folder of the store; created, or gone on with where an unfinished run of the same job left it.
        info: what is being made.
        num_shards: that it will have.
        overwrite: begin afresh, deleting a store or unfinished run in ``out``.

    Raises:
        FingerprintError: ``out`` holds tokens of another tokenizer.
        FormatError: ``out`` holds another job or other files, or the format cannot hold such tokens.
    """

    def __init__(self, out: Path, info: StoreInfo, num_shards: int, *, overwrite: bool = False) -> None:
        need_pyarrow()
        self.out, self.info, self.num_shards = out, info, num_shards
        self.format = get_format(info.format)
        self.format.check(info)
        self._work = out / ".work"
        found = self._found()
        if overwrite and found is not None:
            self._clear()
            found = None
        if found is not None:
            _refuse_other_job(out, found, info)
        self.complete = (out / "store.json").exists()
        """Whether the store was finished before."""
        if not self.complete:
            self._sweep()
            write_json(self._work / "job.json", info.to_json())

    def has_shard(self, shard: int, items: str) -> bool:
        """Whether a shard made from these ``items`` (their sha256) lies there whole; its content is read to tell."""
        record = self._record(shard)
        if not record.exists():
            return False
        entry = read_json(record)
        if entry.get("items") != items:
            return False
        shards = self.out / "shards"
        return all((shards / name).is_file() and sha256_of(shards / name) == h for name, h in entry["files"].items())

    def write_shard(self, shard: int, rows: Sequence[Row], errors: Sequence[ItemError], items: str) -> None:
        """Write one shard, then the record that it is whole. ``rows`` and ``errors`` are in manifest order."""
        main = shard_path(self.out, shard, self.format.suffixes[0])
        self.format.write_shard(main, rows, self.info)
        files = [p for s in self.format.suffixes if (p := main.with_suffix(s)).exists()]
        record = {
            "items": items,
            "rows": len(rows),
            "files": {p.name: sha256_of(p) for p in files},
            "errors": [json.loads(e.to_line()) for e in errors],
        }
        write_json(self._record(shard), record)

    def close(self, run: dict[str, Any]) -> dict[str, Any]:
        """Write the index, errors, statistics and, last, ``store.json``; returns the statistics.

        All shards are read back for it: the index and the counts describe what lies on disk, whoever wrote it.

        Args:
            run: figures of this run (seconds, speed), kept apart in ``stats.json`` because they differ each time.
        """
        records = [read_json(self._record(shard)) for shard in range(self.num_shards)]
        with atomic_path(self.out / "errors.jsonl") as partial, open(partial, "w", encoding="utf-8", newline="\n") as f:
            f.writelines(ItemError(**e).to_line() for record in records for e in record["errors"])
        counts = self._write_index(records)
        self.format.write_extras(self.out, self.info)
        failed = sum(len(record["errors"]) for record in records)
        size = sum((self.out / "shards" / name).stat().st_size for record in records for name in record["files"])
        stats = {**counts.summary(), "failed": failed, "bytes": size, "run": run}
        write_json(self.out / "stats.json", stats)
        totals = {"num_shards": self.num_shards, "num_items": counts.items, "num_failed": failed}
        shards = [{"rows": record["rows"], "files": record["files"]} for record in records]
        write_json(self.out / "store.json", {**self.info.to_json(), **totals, "shards": shards})
        shutil.rmtree(self._work)
        return stats

    def _write_index(self, records: list[dict[str, Any]]) -> UnitCounts:
        import pyarrow as pa
        import pyarrow.parquet as pq

        fields = [("id", pa.string()), ("shard", pa.int32()), ("row", pa.int32())]
        schema = pa.schema([*fields, ("num_frames", pa.int64()), ("num_samples", pa.int64())])
        counts = UnitCounts(self.info)
        with atomic_path(self.out / "index.parquet") as partial, pq.ParquetWriter(partial, schema) as writer:
            for shard, record in enumerate(records):
                path = shard_path(self.out, shard, self.format.suffixes[0])
                rows = list(self.format.read_shard(path, self.info))
                if len(rows) != record["rows"]:
                    raise FormatError(f"{path} has {len(rows)} rows, {record['rows']} were written: run again")
                counts.add(rows)
                columns = [
                    [key for key, _ in rows],
                    [shard] * len(rows),
                    list(range(len(rows))),
                    [t.num_frames for _, t in rows],
                    [t.num_samples for _, t in rows],
                ]
                writer.write_table(pa.table(columns, schema=schema))
        return counts

    def _record(self, shard: int) -> Path:
        return self._work / f"{shard:05d}.json"

    def _found(self) -> StoreInfo | None:
        """What an earlier run was making here."""
        if self.out.exists() and not self.out.is_dir():
            raise FormatError(f"{self.out} is a file: choose another name for the store's folder")
        for path in (self.out / "store.json", self._work / "job.json"):
            if path.exists():
                return StoreInfo.from_json(read_json(path), path)
        if self.out.exists() and any(self.out.iterdir()):
            raise FormatError(f"{self.out} holds other files than a store: choose another folder")
        return None

    def _sweep(self) -> None:
        """Remove the temporary files that a killed run left."""
        for folder in (self.out, self.out / "shards", self._work):
            for path in folder.glob(".*.tmp*"):
                path.unlink()

    def _clear(self) -> None:
        # In this order a kill at any point leaves the old store whole or the new job begun, never a store that
        # claims shards it lost.
        shutil.rmtree(self._work, ignore_errors=True)
        write_json(self._work / "job.json", self.info.to_json())
        (self.out / "store.json").unlink(missing_ok=True)
        shutil.rmtree(self.out / "shards", ignore_errors=True)
        for name in ("index.parquet", "errors.jsonl", "stats.json", "dict.km.txt"):
            (self.out / name).unlink(missing_ok=True)


def _refuse_other_job(out: Path, found: StoreInfo, wanted: StoreInfo) -> None:
    remedy = f"delete {out} (--overwrite does), or choose another folder"
    if found.fingerprint != wanted.fingerprint:
        raise FingerprintError(
            f"{out} holds tokens of {found.tokenizer} ({found.fingerprint}), not of {wanted.tokenizer} "
            f"({wanted.fingerprint}): {remedy}"
        )
    if found.manifest != wanted.manifest:
        raise FormatError(f"{out} was made from another corpus, or the corpus has changed since: {remedy}")
    old, new = found.to_json(), wanted.to_json()
    changed = [f"{key} {old[key]} is now {new[key]}" for key in ("format", "codebook_sizes") if old[key] != new[key]]
    changed += [f"{k} {v} is now {new['options'][k]}" for k, v in old["options"].items() if v != new["options"][k]]
    if changed:
        raise FormatError(f"{out} was made with other options ({', '.join(changed)}): {remedy}")

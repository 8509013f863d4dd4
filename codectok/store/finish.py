"""The end of a store: index, errors, statistics, page and, last of all, ``store.json``, from the records of its shards.

Records are read one at a time, so that memory does not grow with the corpus.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from codectok.files.atomic import atomic_path
from codectok.store.bpe_rows import stored_info
from codectok.store.files import checksum, sha256_of, write_json, writing
from codectok.store.formats.table import extras_of_all, get_format
from codectok.store.info import ItemError, StoreInfo
from codectok.store.page import write_page
from codectok.store.record import Record, read_record
from codectok.store.stats import UnitCounts
from codectok.transforms.bpe_file import NAME as BPE_FILE

INDEX_ROWS = 16384
"""Rows of the index that are written, and read, together: some 200 bytes each, as Python objects."""


def finish_store(
    out: Path, info: StoreInfo, numbers: Sequence[int], run: dict[str, Any], part: dict[str, Any]
) -> dict[str, Any]:
    """Write all that describes the shards ``numbers``; returns the statistics.

    Killed at any moment, it can be called again. Only ``run`` (in ``stats.json``) differs from run to run.

    Args:
        out: folder of the store, with shards and records.
        info: what was made.
        numbers: of its shards, ascending.
        run: figures of this run.
        part: more entries of ``store.json``.

    Raises:
        FormatError: a shard has no record.
        CodectokError: the disk is full or cannot be written to.
    """
    with writing(out):
        shards, size, failures, warned = [], 0, Counter[str](), set[tuple[str, str]]()
        counts = UnitCounts.total(info, (UnitCounts.from_json(info, r["counts"]) for r in _records(out, numbers)))
        with atomic_path(out / "errors.jsonl") as partial, open(partial, "w", encoding="utf-8", newline="\n") as f:
            for record in _records(out, numbers):
                f.writelines(ItemError(**e).to_line() for e in record["errors"])
                for entry in record.get("warnings", ()):  # a file of many segments has one
                    if (entry["path"], entry["message"]) not in warned:
                        warned.add((entry["path"], entry["message"]))
                        f.write(ItemError(**entry).to_line())
                failures.update(e["kind"] for e in record["errors"])
                figures = {"rows": record["rows"], "failed": len(record["errors"]), "bytes": record["bytes"]}
                shards.append({**figures, "files": record["files"]})
                size += record["bytes"]
        _write_index(out, zip(numbers, _records(out, numbers), strict=True))
        _tidy(out, info, {name for entry in shards for name in entry["files"]})
        get_format(info.format).write_extras(out, stored_info(info))
        if info.transform is not None:
            info.transform.units().save(out / BPE_FILE)
        failed = failures.total()
        found = {**counts.summary(), "failed": failed, "failures": dict(sorted(failures.items())), "bytes": size}
        found["warnings"] = len(warned)
        write_page(out / "stats.html", info, found, part)
        stats = {**found, "run": run}
        write_json(out / "stats.json", stats)
        totals = {"num_shards": len(numbers), "num_items": counts.items, "num_failed": failed}
        beside = ("index.parquet", "errors.jsonl", "stats.html", *get_format(info.format).extras)
        beside += (BPE_FILE,) * (info.transform is not None)
        files = {"files": {name: sha256_of(out / name) for name in beside}}
        _write_description(out / "store.json", {**info.to_json(), **part, **totals, **files}, shards)
    return stats


def _records(out: Path, numbers: Iterable[int]) -> Iterator[Record]:
    return (read_record(out, number) for number in numbers)


def _tidy(out: Path, info: StoreInfo, known: set[str]) -> None:
    """Remove what a run that was killed while it deleted another store left of that."""
    for path in (out / "shards").glob("*"):
        if path.name not in known:
            path.unlink()
    for name in {*extras_of_all(), BPE_FILE} - set(get_format(info.format).extras):
        (out / name).unlink(missing_ok=True)


def _write_description(path: Path, head: dict[str, Any], shards: Sequence[dict[str, Any]]) -> None:
    """``store.json``, with a line a shard: a million hours have many."""
    head = {**head, "sha256": checksum({**head, "shards": shards})}
    lines = ",\n".join(f"    {json.dumps(entry, ensure_ascii=False)}" for entry in shards)
    with atomic_path(path) as partial, open(partial, "w", encoding="utf-8", newline="\n") as f:
        text = json.dumps(head, indent=2, ensure_ascii=False).removesuffix("\n}")
        f.write(f'{text},\n  "shards": [\n{lines}\n  ]\n}}\n' if shards else f'{text},\n  "shards": []\n}}\n')


def _write_index(out: Path, records: Iterable[tuple[int, Record]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [("id", pa.string()), ("shard", pa.int32()), ("row", pa.int32())]
    schema = pa.schema([*fields, ("num_frames", pa.int64()), ("num_samples", pa.int64())])
    with atomic_path(out / "index.parquet") as partial, pq.ParquetWriter(partial, schema) as writer:
        waiting: list[list[Any]] = [[] for _ in schema]

        def flush() -> None:
            writer.write_table(pa.table(waiting, schema=schema))
            for column in waiting:
                column.clear()

        for number, record in records:
            rows = record["rows"]
            new = (record["ids"], [number] * rows, range(rows), record["num_frames"], record["num_samples"])
            for column, values in zip(waiting, new, strict=True):
                column.extend(values)
            if len(waiting[0]) >= INDEX_ROWS:
                flush()
        flush()

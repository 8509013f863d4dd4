"""One shard and its record: the files first, then, in ``.work``, that they are whole and all that is known of them.

A record has the sha256 of the items and of the files, the failed items, the shard's part of the index, and its counts:
what ends a store reads the records, never the shards.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.files.inside import safe_names
from codectok.store.bpe_rows import stored_info, stored_rows
from codectok.store.files import read_json, sha256_of, write_json, writing
from codectok.store.formats.table import get_format
from codectok.store.info import ItemError, Row, StoreInfo, shard_path, sister
from codectok.store.stats import Merger, UnitCounts
from codectok.tokens import Tokens

Record = dict[str, Any]


def write_shard_files(
    out: Path,
    info: StoreInfo,
    number: int,
    rows: Sequence[tuple[str, Tokens]],
    errors: Sequence[ItemError],
    items_hash: str,
    bpe: Merger | None = None,
) -> Record:
    """Write one shard, then its record; any process that sees the folder can, whoever made it.

    Args:
        out: folder of the store.
        info: what is being made.
        number: of the shard, from 0.
        rows: ids and tokens in manifest order, with labels where they are Rows.
        errors: items of the shard that failed, in manifest order, and warnings of others.
        items_hash: sha256 of the items that the shard is made of.
        bpe: of the tokenizer, where it has one: what it would leave is counted.

    Returns:
        the record, as it stands in ``.work``.

    Raises:
        CodectokError: the disk is full or cannot be written to; nothing half-written is left.
    """
    form = get_format(info.format)
    found = [row if isinstance(row, Row) else Row(*row) for row in rows]
    main = shard_path(out, number, form.suffixes[0])
    counts = UnitCounts(info, bpe if info.transform is None else info.transform.merges)
    with writing(out):
        form.write_shard(main, stored_rows(info, found), stored_info(info))
        counts.add(found)
        files = [p for s in (*form.suffixes, *form.label_suffixes) if (p := sister(main, s)).exists()]
        record = {
            "items": items_hash,
            "rows": len(rows),
            "files": {p.name: sha256_of(p) for p in files},
            "bytes": sum(p.stat().st_size for p in files),
            "errors": [json.loads(e.to_line()) for e in errors if not e.warns],
            "warnings": [json.loads(e.to_line()) for e in errors if e.warns],
            "ids": [key for key, _ in rows],
            "num_frames": [tokens.num_frames for _, tokens in rows],
            "num_samples": [tokens.num_samples for _, tokens in rows],
            "counts": counts.to_json(),
        }
        write_json(record_path(out, number), record, indent=None)
    return record


def record_path(out: Path, number: int) -> Path:
    """Where the record of a shard lies."""
    return out / ".work" / f"{number:05d}.json"


def read_record(out: Path, number: int) -> Record:
    """The record of a shard.

    Raises:
        FormatError: there is none, or a damaged one.
    """
    path = record_path(out, number)
    if not path.is_file():
        raise FormatError(f"{out} has no record of shard {number} ({path}): run the same command again", path=out)
    record = read_json(path)
    if not isinstance(record.get("rows"), int):
        raise FormatError(f"{path} is damaged (no number of rows): make the store again", path=path)
    record["files"] = safe_names(record.get("files"), path)
    return record


def is_whole(out: Path, record: Record) -> bool:
    """Whether all files of a shard lie in ``out`` with the content they were written with."""
    shards = out / "shards"
    return all((shards / name).is_file() and sha256_of(shards / name) == h for name, h in record["files"].items())

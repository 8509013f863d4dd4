"""Whether a store is what it says: everything is read again and compared."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from codectok.errors import CodectokError
from codectok.store.files import sha256_of
from codectok.store.reader import IndexRow, Store
from codectok.store.stats import UnitCounts


def verify_store(store: Store, progress: Callable[[int], None] | None = None) -> Iterator[str]:
    """Yield a line for each thing that is wrong; nothing if the store is sound.

    Checked: the files of each shard against their sha256, rows (codes in range, [K, T], lengths), ids that come
    twice or also failed, the order and figures of the index, and the counts of ``store.json`` and ``stats.json``.

    Args:
        store: to check.
        progress: told the number of rows of each shard that was read.
    """
    try:
        index = store.index()
        seen: set[str] = set()
        counts = UnitCounts(store.info)
        for shard, entry in enumerate(store.shards):
            readable = yield from _check_shard(store, shard, index, seen, counts)
            if not readable:
                yield "nothing after this shard was checked"
                return
            if progress is not None:
                progress(entry["rows"])
        if next(index, None) is not None:
            yield "index.parquet has more rows than the shards"
        yield from _check_totals(store, counts, seen)
    except (CodectokError, OSError) as e:
        yield str(e)


def _check_shard(
    store: Store, shard: int, index: Iterator[IndexRow], seen: set[str], counts: UnitCounts
) -> Generator[str, None, bool]:
    entry = store.shards[shard]
    for name, expected in entry["files"].items():
        path = store.folder / "shards" / name
        if not path.is_file():
            yield f"shards/{name} is missing"
            return False
        if sha256_of(path) != expected:
            yield f"shards/{name} is not the file that was written: its sha256 differs"
    try:
        rows = list(store.read_shard(shard))
    except CodectokError as e:
        yield str(e)
        return False
    if len(rows) != entry["rows"]:
        yield f"shard {shard} has {len(rows)} rows, store.json says {entry['rows']}"
    for row, (key, tokens) in enumerate(rows):
        if key in seen:
            yield f"shard {shard} row {row}: the id {key!r} comes twice"
        seen.add(key)
        found = IndexRow(key, shard, row, tokens.num_frames, tokens.num_samples)
        listed = next(index, None)
        if listed != found:
            yield f"shard {shard} row {row}: the index has {listed}, the shard {found}"
        if (tokens.durations is not None) != store.info.options.dedup:
            yield f"shard {shard} row {row}: durations do not match the store's dedup option"
    counts.add(rows)
    return True


def _check_totals(store: Store, counts: UnitCounts, seen: set[str]) -> Iterator[str]:
    if len(store.shards) != store.num_shards:
        yield f"store.json lists {len(store.shards)} shards and says {store.num_shards}"
    if counts.items != store.num_items:
        yield f"the shards have {counts.items} items, store.json says {store.num_items}"
    stats = store.stats
    for key, value in counts.summary().items():
        if stats.get(key) != value:
            yield f"stats.json has {key} {stats.get(key)}, the shards give {value}"
    errors = store.errors
    if len(errors) != store.num_failed:
        yield f"errors.jsonl has {len(errors)} items, store.json says {store.num_failed}"
    for error in errors:
        if error.id in seen:
            yield f"{error.id!r} is both in the shards and in errors.jsonl"
    known = {name for entry in store.shards for name in entry["files"]}
    for path in sorted((store.folder / "shards").iterdir()):
        if path.name not in known:
            yield f"shards/{path.name} does not belong to the store"

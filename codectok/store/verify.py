"""Whether a store is what it says: everything is read again and compared."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from codectok.errors import CodectokError
from codectok.fingerprint import same
from codectok.items.hashes import repeated, short_hash
from codectok.store.files import checksum, read_json, sha256_of
from codectok.store.info import Row
from codectok.store.reader import IndexRow, Store
from codectok.store.stats import UnitCounts


def verify_store(store: Store, progress: Callable[[int], None] | None = None) -> Iterator[str]:
    """Yield a line for each thing that is wrong; nothing if the store is sound.

    Checked: all files against their sha256 (``stats.json``, which differs from run to run, by its counts), rows (codes
    in range, [K, T], lengths), ids that come twice or also failed, the order and figures of the index, and the counts
    of ``store.json``. One shard is held at a time, and eight bytes of each id.

    Args:
        store: to check.
        progress: told the number of rows of each shard that was read.
    """
    try:
        yield from _Check(store).run(progress)
    except (CodectokError, OSError) as e:
        yield " ".join(str(e).split())


class _Check:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.index_damage: str | None = None
        self.index = self._index()
        self.ids = array("Q")
        self.totals: list[UnitCounts] = []
        self.size = 0
        self.readable = True

    def run(self, progress: Callable[[int], None] | None) -> Iterator[str]:
        yield from self._description()
        for shard, entry in enumerate(self.store.shards):
            yield from self._shard(shard)
            if progress is not None:
                progress(entry["rows"])
        if next(self.index, None) is not None:
            yield "index.parquet has more rows than the shards"
        if self.index_damage is not None:
            yield self.index_damage
        failures: Counter[str] = Counter()
        for error in self.store.iter_errors():
            failures[error.kind] += 1
            self.ids.append(short_hash(error.id))
        yield from self._duplicates()
        if self.readable:
            yield from self._totals(dict(sorted(failures.items())))
        elif self.totals:
            yield "counts were not compared, since a shard cannot be read"
        yield from self._files()

    def _description(self) -> Iterator[str]:
        """``store.json`` by its own checksum, and by its checksums the files beside it."""
        folder = self.store.folder
        description = read_json(folder / "store.json")
        if description.get("sha256") != checksum(description):
            yield "store.json is not as it was written: its sha256 differs"
        files = description.get("files")
        for name, expected in files.items() if isinstance(files, dict) else ():
            if not (folder / name).is_file():
                yield f"{name} is missing"
            elif sha256_of(folder / name) != expected:
                yield f"{name} is not the file that was written: its sha256 differs"

    def _index(self) -> Iterator[IndexRow]:
        """The index up to where it is damaged: one damage is one line, not one for each row after it."""
        try:
            yield from self.store.index()
        except (CodectokError, OSError) as e:
            self.index_damage = " ".join(str(e).split())

    def _shard(self, shard: int) -> Iterator[str]:
        store, entry = self.store, self.store.shards[shard]
        for name, expected in entry["files"].items():
            path = store.folder / "shards" / name
            if not path.is_file():
                yield f"shards/{name} is missing"
                continue
            self.size += path.stat().st_size
            if sha256_of(path) != expected:
                yield f"shards/{name} is not the file that was written: its sha256 differs"
        try:
            rows = list(store.read_shard(shard))
        except (CodectokError, OSError) as e:
            self.readable = False
            for _ in islice(self.index, entry["rows"]):
                pass
            yield str(e)
            return
        yield from self._rows(shard, rows)
        counts = UnitCounts(store.info)
        counts.add(rows)
        self.totals = [UnitCounts.total(store.info, [*self.totals, counts])]

    def _rows(self, shard: int, rows: list[Row]) -> Iterator[str]:
        store, number = self.store, self.store.numbers[shard]
        if len(rows) != store.shards[shard]["rows"]:
            yield f"shard {number} has {len(rows)} rows, store.json says {store.shards[shard]['rows']}"
        for row, (key, tokens) in enumerate(rows):
            self.ids.append(short_hash(key))
            found = IndexRow(key, number, row, tokens.num_frames, tokens.num_samples)
            listed = next(self.index, None)
            if listed != found and self.index_damage is None:
                yield f"shard {number} row {row}: the index has {listed}, the shard {found}"
            if (tokens.durations is not None) != store.info.options.dedup:
                yield f"shard {number} row {row}: durations do not match the store's dedup option"
            if not same(tokens.fingerprint, store.fingerprint):
                yield f"shard {number} row {row}: tokens of {tokens.fingerprint}, not of {store.fingerprint}"

    def _duplicates(self) -> Iterator[str]:
        """Ids that come twice: only those whose hash does are compared as text, in a second pass."""
        suspects = repeated(self.ids)
        if not suspects:
            return
        seen: set[str] = set()
        for shard, number in enumerate(self.store.numbers):
            try:
                for row, (key, _) in enumerate(self.store.read_shard(shard)):
                    if short_hash(key) in suspects:
                        if key in seen:
                            yield f"shard {number} row {row}: the id {key!r} comes twice"
                        seen.add(key)
            except (CodectokError, OSError):
                continue
        failed: set[str] = set()
        for error in self.store.iter_errors():
            if error.id in seen:
                yield f"{error.id!r} is both in the shards and in errors.jsonl"
            if error.id in failed:
                yield f"{error.id!r} comes twice in errors.jsonl"
            if short_hash(error.id) in suspects:
                failed.add(error.id)

    def _totals(self, failures: dict[str, int]) -> Iterator[str]:
        store = self.store
        counts = UnitCounts.total(store.info, self.totals)
        if counts.items != store.num_items:
            yield f"the shards have {counts.items} items, store.json says {store.num_items}"
        failed = sum(failures.values())
        if failed != store.num_failed:
            yield f"errors.jsonl has {failed} items, store.json says {store.num_failed}"
        found: dict[str, Any] = {**counts.summary(), "failed": failed, "failures": failures, "bytes": self.size}
        stats = store.stats
        for key, value in found.items():
            if stats.get(key) != value:
                yield f"stats.json has {key} {stats.get(key)}, the shards give {value}"

    def _files(self) -> Iterator[str]:
        known = {name for entry in self.store.shards for name in entry["files"]}
        for path in sorted((self.store.folder / "shards").glob("*")):
            if path.name not in known:
                yield f"shards/{path.name} does not belong to the store"

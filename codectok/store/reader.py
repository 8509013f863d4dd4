"""Reading a store: in order, by position or by id."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from codectok.errors import FormatError
from codectok.store.base import ItemError, Row, StoreInfo, need_pyarrow, shard_path
from codectok.store.files import read_json
from codectok.store.formats import get_format
from codectok.tokens import Tokens


class IndexRow(NamedTuple):
    """One line of ``index.parquet``."""

    id: str
    shard: int
    row: int
    num_frames: int
    num_samples: int


class Store:
    """A finished token store. ``len(store)`` items; iterating gives (id, Tokens) in manifest order, shard by shard.

    Tokens are as stored: deduplicated where the store is (``tokens.expand()`` undoes it), never flattened.
    """

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        self.folder = folder
        self.info = StoreInfo.from_json(description, folder / "store.json")
        self.format = get_format(self.info.format)
        try:
            self.num_items = int(description["num_items"])
            self.num_shards = int(description["num_shards"])
            self.num_failed = int(description["num_failed"])
            self.shards: list[dict[str, Any]] = list(description["shards"])
            """Rows and sha256 of the files of each shard."""
        except (KeyError, TypeError, ValueError) as e:
            raise FormatError(f"{folder / 'store.json'} is damaged: make the store again") from e
        self._cached_shard = lru_cache(maxsize=2)(lambda shard: list(self.read_shard(shard)))

    @property
    def fingerprint(self) -> str:
        """Of the tokenizer that made the tokens."""
        return self.info.fingerprint

    @property
    def stats(self) -> dict[str, Any]:
        """What ``stats.json`` says."""
        return read_json(self._part("stats.json"))

    @property
    def errors(self) -> list[ItemError]:
        """Items of the corpus that failed and are not in the store."""
        path = self._part("errors.jsonl")
        try:
            with open(path, "rb") as f:
                return [ItemError(**json.loads(line)) for line in f]
        except (ValueError, TypeError) as e:
            raise FormatError(f"{path} is damaged: make the store again") from e

    def read_shard(self, shard: int) -> Iterator[Row]:
        """Yield the rows of one shard.

        Raises:
            FormatError: the shard is missing or damaged.
        """
        for name in self.shards[shard]["files"]:
            self._part(f"shards/{name}")
        return self.format.read_shard(shard_path(self.folder, shard, self.format.suffixes[0]), self.info)

    def index(self) -> Iterator[IndexRow]:
        """Yield the lines of the index, in manifest order."""
        need_pyarrow()
        import pyarrow.parquet as pq

        with pq.ParquetFile(self._part("index.parquet")) as file:
            for batch in file.iter_batches():
                yield from map(IndexRow._make, zip(*(c.to_pylist() for c in batch.columns), strict=True))

    def __len__(self) -> int:
        return self.num_items

    def __iter__(self) -> Iterator[Row]:
        for shard in range(self.num_shards):
            yield from self.read_shard(shard)

    def __getitem__(self, key: str | int) -> Tokens:
        """Tokens of an id, or of a position in manifest order; the shards last used are kept in memory.

        Raises:
            KeyError: no such id.
            IndexError: no such position.
        """
        if isinstance(key, str):
            if key not in self._positions:
                raise KeyError(f"no item {key!r} in {self.folder}")
            key = self._positions[key]
        place = range(self.num_items)[key]
        for shard, entry in enumerate(self.shards):
            if place < entry["rows"]:
                return self._cached_shard(shard)[place][1]
            place -= entry["rows"]
        raise FormatError(f"{self.folder / 'store.json'} is damaged: its shards have fewer rows than items")

    def __contains__(self, key: object) -> bool:
        return key in self._positions

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {row.id: i for i, row in enumerate(self.index())}

    def _part(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise FormatError(f"{self.folder} has no {name}: the store is incomplete, make it again")
        return path


def open_store(folder: str | os.PathLike[str]) -> Store:
    """Open a finished store.

    Raises:
        FormatError: no store there, an unfinished one, or one of another version.
    """
    path = Path(folder)
    if not (path / "store.json").is_file():
        if (path / ".work" / "job.json").is_file():
            raise FormatError(f"{path} is not finished: run the same `codectok tokenize` again, it goes on from there")
        raise FormatError(f"{path} is not a token store (it has no store.json): make one with `codectok tokenize`")
    return Store(path, read_json(path / "store.json"))

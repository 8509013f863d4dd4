"""Reading a store: in order, by position or by id."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from codectok.errors import CodectokError, FormatError, UnknownNameError
from codectok.files.inside import inside, safe_names
from codectok.items.labels import Labels
from codectok.store.bpe_rows import read_rows, stored_info
from codectok.store.files import part_numbers, read_json
from codectok.store.formats.table import get_format
from codectok.store.info import ItemError, ReadsLabels, Row, StoreInfo, need_pyarrow, shard_path
from codectok.tokens import Tokens
from codectok.transforms.bpe_file import NAME as BPE_FILE
from codectok.transforms.unit_bpe import UnitBPE

T = TypeVar("T")


class IndexRow(NamedTuple):
    """One line of ``index.parquet``."""

    id: str
    shard: int
    """Number of the shard in its job."""
    row: int
    num_frames: int
    num_samples: int


class Store:
    """A finished token store. ``len(store)`` items; iterating gives (id, Tokens) in manifest order, shard by shard.

    Each of these is a :class:`~codectok.store.info.Row`, whose ``labels`` are what the corpus says of it. Tokens are as
    stored: deduplicated where the store is (``tokens.expand()`` undoes it), never flattened; BPE is undone.

    Examples:
        >>> from codectok.store import open_store
        >>> store = open_store("store")
        >>> len(store), "a" in store, store["b"].duration
        (2, True, 0.3)
    """

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        self.folder = folder
        self.info = StoreInfo.from_json(description, folder / "store.json")
        if self.info.transform is not None:
            self.info = replace(self.info, transform=self.info.transform.attach(UnitBPE.load(self._file(BPE_FILE))))
        try:
            self.format = get_format(self.info.format)
        except UnknownNameError as error:
            raise FormatError(f"{folder} was written in a format that is not here: {error}", path=folder) from None
        try:
            self.num_items = int(description["num_items"])
            self.num_shards = int(description["num_shards"])
            """That are here: in a part of a job, not all."""
            self.part: str | None = description.get("part")
            """``I/N`` of a part of a job, from 1."""
            self.job_shards = int(description.get("job_shards", self.num_shards))
            part = None if self.part is None else tuple(int(n) for n in self.part.split("/"))
            self.numbers = part_numbers(self.job_shards, part)  # type: ignore[arg-type]
            """Of the shards that are here, as in their file names."""
            self.num_failed = int(description["num_failed"])
            self.shards: list[dict[str, Any]] = list(description["shards"])
            """Rows, failed items and sha256 of the files of each shard."""
            if not len(self.shards) == len(self.numbers) == self.num_shards:
                raise ValueError(f"{len(self.shards)} shards")
            for entry in self.shards:
                if not all(_counted(n) for n in (entry["rows"], entry.get("bytes", 0))):
                    raise ValueError("rows or bytes that are no number")
                entry["files"] = safe_names(entry["files"], folder / "store.json")
            if "files" in description:
                safe_names(description["files"], folder / "store.json")
        except FormatError:
            raise
        except (ArithmeticError, KeyError, TypeError, ValueError, AttributeError) as e:
            raise FormatError(
                f"{folder / 'store.json'} is damaged: make the store again", path=folder / "store.json"
            ) from e
        self._cached_shard = lru_cache(maxsize=2)(lambda shard: list(self.read_shard(shard)))

    @property
    def fingerprint(self) -> str:
        """Of the tokenizer that made the tokens."""
        return self.info.fingerprint

    @property
    def stats(self) -> dict[str, Any]:
        """What ``stats.json`` says."""
        return read_json(self._file("stats.json"))

    @property
    def errors(self) -> list[ItemError]:
        """Items of the corpus that failed and are not in the store."""
        return list(self.iter_errors())

    def iter_errors(self) -> Iterator[ItemError]:
        """Yield ``errors`` one by one."""
        return (error for error in self._reports() if not error.warns)

    def iter_warnings(self) -> Iterator[ItemError]:
        """Yield what was wrong with files that were read all the same, once a file."""
        return (error for error in self._reports() if error.warns)

    def _reports(self) -> Iterator[ItemError]:
        path = self._file("errors.jsonl")
        try:
            with open(path, "rb") as f:
                for line in f:
                    yield ItemError(**json.loads(line))
        except (ValueError, TypeError) as e:
            raise FormatError(f"{path} is damaged: make the store again", path=path) from e

    def read_shard(self, shard: int) -> Iterator[Row]:
        """Yield the rows of one shard, counted from 0 among those that are here.

        Raises:
            FormatError: the shard is missing or damaged.
        """
        return _or_damaged(self._shard_file(shard), read_rows(self.info, self.read_ids(shard)))

    def read_ids(self, shard: int) -> Iterator[Row]:
        """The same as it is written: where the store holds BPE ids, their ``codes`` are these.

        Raises:
            FormatError: the shard is missing or damaged.
        """
        path = self._shard_file(shard)
        return _or_damaged(path, self.format.read_shard(path, stored_info(self.info)))

    def index(self) -> Iterator[IndexRow]:
        """Yield the lines of the index, in manifest order.

        Raises:
            FormatError: it is missing or damaged.
        """
        need_pyarrow()
        path = self._file("index.parquet")
        return _or_damaged(path, _index_rows(path))

    def __len__(self) -> int:
        return self.num_items

    def iter_labels(self) -> Iterator[tuple[str, Labels]]:
        """Yield ids and labels, without decoding codes where the format lets them be read alone.

        Raises:
            FormatError: a shard is missing or damaged.
        """
        for shard in range(self.num_shards):
            if isinstance(self.format, ReadsLabels):
                path = self._shard_file(shard)
                yield from _or_damaged(path, self.format.read_labels(path, self.info))
            else:
                yield from ((row.id, row.labels) for row in self.read_shard(shard))

    def __iter__(self) -> Iterator[Row]:
        for shard in range(self.num_shards):
            yield from self.read_shard(shard)

    def __getitem__(self, key: str | int) -> Tokens:
        """Tokens of an id, or of a position in manifest order; the shards last used are kept in memory.

        Raises:
            UnknownNameError: no such id; a KeyError, too.
            IndexError: no such position.
        """
        if isinstance(key, str):
            if key not in self._positions:
                raise UnknownNameError(f"no item {key!r} in {self.folder}", name=key, kind="items")
            key = self._positions[key]
        place = range(self.num_items)[key]
        for shard, entry in enumerate(self.shards):
            if place < entry["rows"]:
                return self._cached_shard(shard)[place][1]
            place -= entry["rows"]
        raise FormatError(
            f"{self.folder / 'store.json'} is damaged: its shards have fewer rows than items",
            path=self.folder / "store.json",
        )

    def __contains__(self, key: object) -> bool:
        return key in self._positions

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {row.id: i for i, row in enumerate(self.index())}

    def _shard_file(self, shard: int) -> Path:
        entry, size = self.shards[shard], 0
        for name in entry["files"]:
            self._file(f"shards/{name}")
            size += inside(self.folder / "shards", name, self.folder / "store.json").stat().st_size
        # What can be told without reading them; ``verify`` compares the content. 0.1 wrote no sizes.
        if "bytes" in entry and size != entry["bytes"]:
            names = ", ".join(f"shards/{name}" for name in entry["files"])
            raise FormatError(
                f"{self.folder}: {names} should have {entry['bytes']} bytes and has {size}: copy the store again, or "
                "make it again",
                path=self.folder,
            )
        return shard_path(self.folder, self.numbers[shard], self.format.suffixes[0])

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise FormatError(f"{self.folder} has no {name}: the store is incomplete, make it again", path=self.folder)
        return path


def _counted(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _or_damaged(path: Path, rows: Iterator[T]) -> Iterator[T]:
    """Yield ``rows``. Damage makes libraries raise whatever they like: it becomes one line that names the file."""
    try:
        yield from rows
    except CodectokError:
        raise
    except Exception as e:
        if isinstance(e, OSError) and e.errno is not None:  # of the disk; those of a damaged file have no number
            raise
        reason = " ".join(str(e).split())[:200] or type(e).__name__
        raise FormatError(f"{path} is damaged ({reason}): make the store again", path=path) from e


def _index_rows(path: Path) -> Iterator[IndexRow]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from map(IndexRow._make, zip(*(c.to_pylist() for c in batch.columns), strict=True))


def open_store(folder: str | os.PathLike[str]) -> Store:
    """Open a finished store.

    Raises:
        FormatError: no store there, an unfinished one, or one of another version.

    Examples:
        >>> from codectok.store import open_store
        >>> for key, tokens in open_store("store"):
        ...     print(key, tokens)
        a Tokens(24 x 5 codes, 0.20 s, 6 kbit/s at 25 frames/s, of ...)
        b Tokens(24 x 8 codes, 0.30 s, 6 kbit/s at 25 frames/s, of ...)
    """
    path = Path(folder)
    if not (path / "store.json").is_file():
        if (path / ".work" / "job.json").is_file():
            raise FormatError(
                f"{path} is not finished: run the same `codectok tokenize` again, it goes on from there", path=path
            )
        raise FormatError(
            f"{path} is not a token store (it has no store.json): make one with `codectok tokenize`", path=path
        )
    return Store(path, read_json(path / "store.json"))

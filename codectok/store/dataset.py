"""A store as a torch dataset: by position, or as a stream of which each worker and rank reads its own shards."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from codectok.errors import CodectokError
from codectok.items.labels import Labels
from codectok.store.info import Row
from codectok.store.reader import Store, open_store


class Sample(TypedDict):
    """``id``, ``codes`` int64 [K, T], ``num_samples``, ``labels``; where runs were merged ``durations`` int64 [T]."""

    id: str
    codes: Tensor
    num_samples: int
    labels: NotRequired[Labels]
    durations: NotRequired[Tensor]


class TokenDataset(Dataset[Sample]):
    """All utterances by their position in manifest order.

    It can be pickled: a worker of a DataLoader opens the files itself. Shards last used are kept decoded, so reading in
    order is cheap and reading at random over a large store is not: take :class:`TokenStream` for that.

    Args:
        store: or its folder.
        cached_shards: kept in memory, in each worker.

    Examples:
        >>> from codectok.store import TokenDataset
        >>> sample = TokenDataset("store")[-1]
        >>> sample["id"], sample["codes"].shape
        ('b', torch.Size([24, 8]))
    """

    def __init__(self, store: Store | str | os.PathLike[str], *, cached_shards: int = 4) -> None:
        self.store = _opened(store)
        self.cached_shards = cached_shards
        self._ends = list(accumulate(entry["rows"] for entry in self.store.shards))
        self._rows = self._cache()

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> Sample:
        """The utterance at a position; negative ones count from the end.

        Raises:
            IndexError: no such position.
            FormatError: a damaged shard.
        """
        place = range(len(self))[index]
        shard = bisect_right(self._ends, place)
        first = self._ends[shard - 1] if shard else 0
        return _sample(self._rows(shard)[place - first])

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.store.folder, "cached_shards": self.cached_shards}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"], cached_shards=state["cached_shards"])  # type: ignore[misc]

    def _cache(self) -> Any:
        store = self.store  # not self: the cache must not keep its own dataset alive
        return lru_cache(maxsize=self.cached_shards)(lambda shard: list(store.read_shard(shard)))


class TokenStream(IterableDataset[Sample]):
    """All utterances, shard by shard: each worker of each rank reads shards of its own, and holds one at a time.

    Ranks and workers may get different numbers of utterances, and none where they outnumber the shards.

    Args:
        store: or its folder.
        shuffle: the order of the shards, and of the utterances within each.
        seed: of the shuffling, the same on all ranks; with ``set_epoch`` it decides the order.
        rank: of this process; default what ``torch.distributed`` says, else 0.
        world_size: processes that share the store; default as above, else 1.

    Raises:
        CodectokError: a rank that is not in 0..world_size - 1.

    Examples:
        >>> from codectok.store import TokenStream
        >>> [sample["id"] for sample in TokenStream("store")]
        ['a', 'b']
    """

    def __init__(
        self,
        store: Store | str | os.PathLike[str],
        *,
        shuffle: bool = False,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        super().__init__()
        self.folder = _opened(store).folder
        self.shuffle, self.seed, self.epoch = shuffle, seed, 0
        # Asked here and not in __iter__: a worker process is in no process group.
        group = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank = rank if rank is not None else torch.distributed.get_rank() if group else 0
        self.world_size = world_size or (torch.distributed.get_world_size() if group else 1)
        if not 0 <= self.rank < self.world_size:
            raise CodectokError(f"rank {self.rank} of {self.world_size}: give a rank from 0 to {self.world_size - 1}")

    def set_epoch(self, epoch: int) -> None:
        """Shuffle differently; call it before the epoch begins (workers that persist don't hear of it)."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Sample]:
        store = open_store(self.folder)
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info is not None else (0, 1)
        part, parts = self.rank * workers + worker, self.world_size * workers
        for shard in self._order(len(store.shards), 0)[part::parts]:
            rows = store.read_shard(shard)
            if not self.shuffle:
                yield from map(_sample, rows)
                continue
            held = list(rows)
            yield from (_sample(held[i]) for i in self._order(len(held), shard + 1))

    def _order(self, number: int, stream: int) -> Sequence[int]:
        if not self.shuffle:
            return range(number)
        # A sum of the three would give epoch 1 of seed 0 the order of epoch 0 of seed 1.
        mixed = hashlib.sha256(f"{self.seed} {self.epoch} {stream}".encode()).digest()[:7]
        generator = torch.Generator().manual_seed(int.from_bytes(mixed, "big"))
        return torch.randperm(number, generator=generator).tolist()


def pad_samples(samples: Sequence[Sample], pad: int = -1) -> dict[str, Any]:
    """A batch, for ``DataLoader(collate_fn=pad_samples)``.

    Returns:
        ``id`` and ``labels`` lists of B, ``codes`` int64 [B, K, T] with ``pad`` after each end, ``lengths`` int64 [B]
        in columns, ``num_samples`` int64 [B]; in a deduplicated store ``durations`` int64 [B, T], 0 after each end.

    Examples:
        >>> from codectok.store import TokenDataset, pad_samples
        >>> batch = next(iter(torch.utils.data.DataLoader(TokenDataset("store"), 2, collate_fn=pad_samples)))
        >>> batch["codes"].shape, batch["lengths"]
        (torch.Size([2, 24, 8]), tensor([5, 8]))
    """
    lengths = [sample["codes"].shape[1] for sample in samples]
    codes = torch.full((len(samples), samples[0]["codes"].shape[0], max(lengths)), pad)
    durations = torch.zeros(len(samples), max(lengths), dtype=torch.int64)
    for i, (sample, length) in enumerate(zip(samples, lengths, strict=True)):
        codes[i, :, :length] = sample["codes"]
        durations[i, :length] = sample.get("durations", torch.zeros(length, dtype=torch.int64))
    batch = {
        "id": [sample["id"] for sample in samples],
        "codes": codes,
        "labels": [sample.get("labels", {}) for sample in samples],
        "lengths": torch.tensor(lengths),
        "num_samples": torch.tensor([sample["num_samples"] for sample in samples]),
    }
    return batch | ({"durations": durations} if "durations" in samples[0] else {})


def _sample(row: Row) -> Sample:
    id, tokens = row
    sample: Sample = {"id": id, "codes": tokens.codes, "num_samples": tokens.num_samples, "labels": row.labels}
    if tokens.durations is not None:
        sample["durations"] = tokens.durations
    return sample


def _opened(store: Store | str | os.PathLike[str]) -> Store:
    return store if isinstance(store, Store) else open_store(Path(store))

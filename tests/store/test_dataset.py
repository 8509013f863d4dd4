"""A store as a torch dataset, in one process and in many."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from codectok.errors import CodectokError
from codectok.store import Store, TokenDataset, TokenStream, pad_samples
from codectok.store.info import Row
from tests.store.making import make_info, make_rows, make_store

pytestmark = pytest.mark.usefixtures("no_sync")


@pytest.fixture(scope="module", params=["parquet", "lhotse"])
def store(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Store:
    info = make_info(request.param, (8, 5), dedup=request.param == "lhotse")
    shards = [make_rows(info, [4, 1, 6, 2][: 4 - i % 3], seed=i) for i in range(5)]
    return make_store(tmp_path_factory.mktemp("store") / "s", info, [*shards, []])


def test_positions_are_those_of_the_store(store: Store) -> None:
    dataset = TokenDataset(store.folder, cached_shards=1)
    assert len(dataset) == len(store) == 16
    for place in [15, 0, 7, 3, 4, -1, -16]:
        sample, (id, tokens) = dataset[place], list(store)[place]
        assert sample["id"] == id
        assert torch.equal(sample["codes"], tokens.codes)
        assert sample["num_samples"] == tokens.num_samples
        assert ("durations" in sample) == (tokens.durations is not None)
    for place in (16, -17):
        with pytest.raises(IndexError):
            dataset[place]


def test_cache_is_bounded_and_spares_reading(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = TokenDataset(store, cached_shards=2)
    read: list[int] = []
    whole = Store.read_shard

    def noted(self: Store, shard: int) -> Iterator[Row]:
        read.append(shard)
        return whole(self, shard)

    monkeypatch.setattr(Store, "read_shard", noted)
    for place in range(16):
        dataset[place]
    assert read == [0, 1, 2, 3, 4]
    assert (dataset[15]["id"], dataset[0]["id"], read) == ("u4/2", "u0/0", [0, 1, 2, 3, 4, 0])


def test_it_can_be_pickled_after_use(store: Store) -> None:
    dataset = TokenDataset(store, cached_shards=3)
    dataset[0]
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.cached_shards == 3
    assert len(pickle.dumps(dataset)) < 1000
    assert copy[5]["id"] == dataset[5]["id"]


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_read_each_utterance_once(store: Store, workers: int) -> None:
    ids = [key for key, _ in store]
    by_place = DataLoader(TokenDataset(store), batch_size=4, num_workers=workers, collate_fn=pad_samples)
    assert [id for batch in by_place for id in batch["id"]] == ids
    stream = DataLoader(TokenStream(store), batch_size=None, num_workers=workers)
    found = [sample["id"] for sample in stream]
    assert sorted(found) == sorted(ids)
    assert workers or found == ids


@pytest.mark.parametrize("world_size", [1, 2, 3, 9])
@pytest.mark.parametrize("shuffle", [False, True])
def test_ranks_share_the_shards(store: Store, world_size: int, shuffle: bool) -> None:
    found = Counter(
        sample["id"]
        for rank in range(world_size)
        for sample in TokenStream(store, shuffle=shuffle, seed=3, rank=rank, world_size=world_size)
    )
    assert found == Counter(key for key, _ in store)


def test_shuffling_is_of_the_seed_and_the_epoch(store: Store) -> None:
    def order(seed: int, epoch: int) -> list[str]:
        stream = TokenStream(store, shuffle=True, seed=seed)
        stream.set_epoch(epoch)
        return [sample["id"] for sample in stream]

    orders = [order(seed, epoch) for seed, epoch in ((0, 0), (1, 0), (0, 1), (1, 1))]
    assert orders[0] == order(0, 0)
    assert len(set(map(tuple, orders))) == 4
    assert orders[0][:5] == ["u4/2", "u4/0", "u4/1", "u0/0", "u0/1"]  # the same in every process and on every machine


def test_rank_outside_is_refused(store: Store) -> None:
    with pytest.raises(CodectokError, match="give a rank from 0 to 1"):
        TokenStream(store, rank=2, world_size=2)


def test_padding(store: Store) -> None:
    dataset = TokenDataset(store)
    batch = pad_samples([dataset[1], dataset[0]])
    short, long = dataset[1]["codes"].shape[1], dataset[0]["codes"].shape[1]
    assert batch["codes"].shape == (2, 2, long)
    assert batch["lengths"].tolist() == [short, long]
    assert (batch["codes"][0, :, short:] == -1).all()
    assert torch.equal(batch["codes"][1], dataset[0]["codes"])
    assert ("durations" in batch) == store.info.options.dedup
    if "durations" in batch:
        assert batch["durations"].sum(1).tolist() == [1, 4]


def test_help_of_commands_imports_no_torch() -> None:
    code = "import sys, codectok.cli.convert, codectok.store.names; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert out.stdout.strip() == "False"

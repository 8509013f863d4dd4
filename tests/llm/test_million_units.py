"""A million units from a store of BPE ids through packed parquet and back, with the durations that the store has."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from codectok.llm import AudioVocab
from codectok.llm.pack.dataset import PackOptions
from codectok.llm.pack.pack_store import PackJob, pack_store
from codectok.llm.vocab.unit_frames import UnitReader
from codectok.store import StoreInfo, StoreOptions, open_store
from codectok.store.writer import StoreWriter
from codectok.tokens import Tokens
from codectok.transforms.unit_transform import UnitTransform
from kmeans_units.bpe import train_bpe
from tests.units.bpe_reference import markov
from tests.units.test_bpe import MARK

pq = pytest.importorskip("pyarrow.parquet")
UNITS = 1_000_000


def utterances(sizes: tuple[int, ...]) -> list[Tokens]:
    """Runs of unit-like frames, 2,000 utterances."""
    rng, count = np.random.default_rng(0), 2000
    frames = UNITS // len(sizes) // count
    streams = np.stack([markov(rng, n, count * frames).reshape(count, frames) for n in sizes], 1)
    held = [np.repeat(s, rng.integers(1, 4, frames), axis=1)[:, :frames] for s in streams]
    return [Tokens(torch.from_numpy(c), c.shape[1] * 320, 16000, Fraction(50), sizes, MARK) for c in held]


@pytest.mark.slow
@pytest.mark.parametrize("dedup", [True, False])
@pytest.mark.parametrize("sizes", [(100,), (40, 30, 20, 10)], ids=["one", "flattened"])
def test_a_million_units_come_back(tmp_path: Path, sizes: tuple[int, ...], dedup: bool) -> None:
    many = utterances(sizes)
    assert sum(t.codes.numel() for t in many) == UNITS
    bpe = train_bpe(many[:500], 400, dedup=dedup)
    steps = UnitTransform.of(MARK, sizes, dedup=dedup, bpe=bpe)
    info = StoreInfo(
        "parquet", "none", MARK, 16000, Fraction(50), sizes, StoreOptions(dedup), "0" * 64, transform=steps
    )
    with StoreWriter(tmp_path / "store", info, 2) as writer:
        for shard in range(2):
            part = range(shard * 1000, shard * 1000 + 1000)
            writer.write_shard(shard, [(str(i), many[i].dedup() if dedup else many[i]) for i in part], [], "0")
        writer.close({})
    store = open_store(tmp_path / "store")
    said = UnitTransform.of(MARK, sizes, dedup=dedup, bpe=bpe, durations=False)
    vocab = AudioVocab.create(said.sizes, 50, tokenizer_fingerprint=MARK, transform=said)
    (tmp_path / "model").mkdir()
    vocab.save(tmp_path / "model")
    pack_store(store, tmp_path / "data", tmp_path / "model", PackJob(task="speech"), PackOptions(length=2048))
    loaded, seen = AudioVocab.load(tmp_path / "model"), 0
    for file in sorted((tmp_path / "data" / "data").glob("*.parquet")):
        for row in pq.read_table(file).to_pylist():
            ids, owner = np.array(row["input_ids"]), np.array(row["sequence_ids"])
            for number, key in enumerate(row["ids"]):
                own = ids[owner == number][1:-1]  # between the markers
                runs = store[key].durations
                columns = torch.from_numpy(loaded.codes(own[None].astype(np.int64)))
                frames = UnitReader(loaded).push(columns, None if runs is None else runs.numpy())
                assert torch.equal(frames, many[int(key)].codes)
                seen += frames.numel()
    assert seen == UNITS

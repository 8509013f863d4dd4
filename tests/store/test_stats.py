from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.store import ItemError, StoreOptions
from codectok.store.info import Row
from codectok.store.stats import UnitCounts
from codectok.store.writer import StoreWriter
from codectok.transforms.unit_bpe import UnitBPE
from tests.store.making import make_info, make_rows


@settings(max_examples=30, deadline=None)
@given(shards=st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=4), dedup=st.booleans())
def test_counts_of_shards_add_up_and_are_kept(shards: list[list[int]], dedup: bool) -> None:
    info = make_info("parquet", (5, 3), dedup)
    rows = [make_rows(info, lengths, seed=i) for i, lengths in enumerate(shards)]
    parts = []
    for some in rows:
        counts = UnitCounts(info)
        counts.add(some)
        parts.append(UnitCounts.from_json(info, json.loads(json.dumps(counts.to_json()))))
    whole = UnitCounts(info)
    whole.add([row for some in rows for row in some])
    assert UnitCounts.total(info, parts).summary() == whole.summary()


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_figures_are_those_counted_by_hand(lengths: list[int], seed: int) -> None:
    info = make_info("parquet", (4, 3))
    rows = make_rows(info, lengths, seed=seed)
    counts = UnitCounts(info)
    counts.add(rows)
    found = counts.summary()
    columns = [tuple(c) for _, t in rows for c in t.dedup().codes.t().tolist()]
    frames = sum(lengths)
    assert found["dedup"]["columns"] == len(columns)
    assert found["dedup"]["ratio"] == len(columns) / frames
    assert found["bits"] == pytest.approx(frames * (2 + math.log2(3)))
    for k, book in enumerate(found["codebooks"]):
        codes = torch.cat([t.codes[k] for _, t in rows]).tolist()
        shares = [codes.count(c) / frames for c in set(codes)]
        assert book["perplexity"] == pytest.approx(math.prod(s**-s for s in shares))
        assert book["used_share"] == len(set(codes)) / info.codebook_sizes[k]


def test_what_bpe_would_leave_is_counted_where_all_shards_have_it(tmp_path: Path) -> None:
    info = make_info("parquet", (4, 3))
    bpe = UnitBPE((4,), [(0, 1), (4, 2)], dedup=True, tokenizer_fingerprint=info.fingerprint)
    tokens = info.tokens(torch.tensor([[0, 0, 1, 2, 3, 0, 1], [0] * 7]), 2240, None)
    counts = UnitCounts(info, bpe)
    counts.add([("a", tokens)])
    found = counts.summary()["bpe"]
    assert found == {
        "vocab_size": 6,
        "tokens": 3,  # 0 0 1 2 -> 5, 3, 0 1 -> 4
        "ratio": 3 / 7,
        "bits": pytest.approx(3 * math.log2(6)),
        "bitrate_kbps": pytest.approx(3 * math.log2(6) / 0.14 / 1000),
    }
    merged = UnitCounts(make_info("parquet", (4, 3), dedup=True), bpe)
    merged.add([("a", tokens.dedup())])
    assert merged.summary()["bpe"] == found
    without = UnitCounts(info)
    without.add([("b", tokens)])
    assert "bpe" not in without.summary()
    assert "bpe" not in UnitCounts.total(info, [counts, without]).summary()
    assert UnitCounts.total(info, [counts, counts]).summary()["bpe"]["tokens"] == 6
    other = UnitBPE((5,), [], tokenizer_fingerprint=info.fingerprint)
    assert UnitCounts(info, other).bpe_vocab == 0


def test_page_says_what_the_figures_say_and_loads_nothing(tmp_path: Path) -> None:
    info = make_info("jsonl", (4, 3))
    info = type(info)(**{**info.__dict__, "tokenizer": "<b>&", "options": StoreOptions()})
    with StoreWriter(tmp_path / "s", info, 1, part=(1, 2)) as writer:
        errors = [ItemError(str(i), "p", "Audio<Error", "no") for i in range(1234)]
        writer.write_shard(0, make_rows(info, [30] * 50), errors, "")
        stats = writer.close({"wall_seconds": 4711.0})
    page = (tmp_path / "s/stats.html").read_text(encoding="utf-8")
    for text in (
        "Tokens of &lt;b&gt;&amp;, part 1/2",
        "<b>1,234</b>",
        "Audio&lt;Error",
        "<b>3,000</b><span>tokens stored",
    ):
        assert text in page
    assert f"{stats['codebooks'][1]['perplexity']:.1f}" in page
    assert "4711" not in page  # figures of the run would make it differ from run to run
    assert not re.search(r"<script|src=|href=|url\(|@import|http", page)
    assert len(page) < 20_000


def test_merged_runs_count_as_their_frames_without_being_written_out() -> None:
    info = make_info("parquet", (4, 3), dedup=True)
    long = info.tokens(torch.tensor([[3, 1], [2, 0]]), 640 * (2**31 + 1), torch.tensor([2**31, 1]))
    counts = UnitCounts(info)
    counts.add([Row("a", long), *make_rows(make_info("parquet", (4, 3)), [5])])
    assert counts.summary()["frames"] == 2**31 + 6
    assert counts.summary()["codebooks"][0]["entropy_bits"] == pytest.approx(0, abs=1e-6)

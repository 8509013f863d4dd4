"""A store as a whole: reading, statistics, refusing another job, verification."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from codectok.cli.store import verify
from codectok.errors import CodectokError, FingerprintError, FormatError
from codectok.store import StoreOptions, open_store
from codectok.store.formats.table import FORMATS
from codectok.store.verify import verify_store
from codectok.store.writer import StoreWriter
from tests.store.making import BAD, make_info, make_rows, make_store


def test_store_by_order_id_and_position(tmp_path: Path) -> None:
    info = make_info("parquet", (8, 5, 3))
    shards = [make_rows(info, [4, 1, 0], seed=1), make_rows(info, [], seed=2), make_rows(info, [6], seed=3)]
    store = make_store(tmp_path / "s", info, shards)
    rows = [row for shard in shards for row in shard]
    assert list(store) == rows
    assert len(store) == 4
    assert store["u3/0"] == store[3] == store[-1] == rows[3][1]
    assert "u1/2" in store
    assert "u9" not in store
    with pytest.raises(KeyError, match="u9"):
        store["u9"]
    with pytest.raises(IndexError):
        store[4]
    assert store.errors == [BAD]
    assert store.fingerprint == "f" * 32
    assert [(r.id, r.shard, r.row) for r in store.index()][-1] == ("u3/0", 2, 0)
    assert not (tmp_path / "s" / ".work").exists()


def test_statistics(tmp_path: Path) -> None:
    info = make_info("parquet", (4, 2), rate=Fraction(25, 2))
    tokens = info.tokens(torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]]), 5120, None)
    stats = make_store(tmp_path / "s", info, [[("a", tokens)]]).stats
    assert stats["items"] == 1
    assert stats["failed"] == 1
    assert stats["frames"] == 4
    assert stats["tokens"] == 8
    assert stats["seconds_audio"] == 0.32
    assert stats["token_rate"] == 25
    assert stats["bitrate_kbps"] == pytest.approx(12.5 * 3 / 1000)
    assert stats["codebooks"] == [
        {"size": 4, "used_share": 0.5, "entropy_bits": 1.0, "perplexity": 2.0},
        {"size": 2, "used_share": 1.0, "entropy_bits": 1.0, "perplexity": 2.0},
    ]
    assert stats["dedup_ratio"] == 0.5
    merged = make_store(tmp_path / "d", replace(info, options=StoreOptions(dedup=True)), [[("a", tokens.dedup())]])
    assert {k: merged.stats[k] for k in ("frames", "codebooks", "dedup_ratio")} == {
        k: stats[k] for k in ("frames", "codebooks", "dedup_ratio")
    }


def test_open_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not a token store"):
        open_store(tmp_path)
    info = make_info("jsonl", (4,))
    StoreWriter(tmp_path / "s", info, 1)
    with pytest.raises(FormatError, match="not finished"):
        open_store(tmp_path / "s")
    store = make_store(tmp_path / "t", info, [make_rows(info, [1])])
    description = json.loads((store.folder / "store.json").read_text())
    for change, message in (({"version": 9}, "version 9"), ({"num_items": None}, "damaged"), ({"format": "x"}, "'x'")):
        (store.folder / "store.json").write_text(json.dumps(description | change))
        with pytest.raises(FormatError, match=message):
            open_store(store.folder)


def test_other_jobs_are_refused_and_overwritten(tmp_path: Path) -> None:
    info = make_info("fairseq", (4,))
    make_store(tmp_path / "s", info, [make_rows(info, [1]), make_rows(info, [2], ["x"])])
    with pytest.raises(FingerprintError, match="delete"):
        StoreWriter(tmp_path / "s", replace(info, fingerprint="0"), 1)
    with pytest.raises(FormatError, match="another corpus"):
        StoreWriter(tmp_path / "s", replace(info, manifest="1"), 1)
    with pytest.raises(FormatError, match=r"--format fairseq is now jsonl, --shard-size 3 is now 5\): delete"):
        StoreWriter(tmp_path / "s", replace(info, format="jsonl", options=StoreOptions(items_per_shard=5)), 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").touch()
    for overwrite in (False, True):
        with pytest.raises(FormatError, match="other files"):
            StoreWriter(tmp_path / "other", info, 1, overwrite=overwrite)
    new = replace(info, format="jsonl", codebook_sizes=(9,))
    writer = StoreWriter(tmp_path / "s", new, 1, overwrite=True)
    writer.write_shard(0, make_rows(new, [1]), [], "")
    writer.close({})
    found = sorted(p.relative_to(tmp_path / "s").as_posix() for p in (tmp_path / "s").rglob("*"))
    assert found == [
        "errors.jsonl",
        "index.parquet",
        "shards",
        "shards/00000.jsonl",
        "stats.html",
        "stats.json",
        "store.json",
    ]


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_verify_finds_damage(tmp_path: Path, format: str) -> None:
    info = make_info(format, (4,))
    store = make_store(tmp_path / "s", info, [make_rows(info, [3, 2], seed=1), make_rows(info, [2], seed=2)])
    assert list(verify_store(store)) == []
    runner = CliRunner()
    assert runner.invoke(verify, [str(store.folder)]).exit_code == 0
    for name in store.shards[1]["files"]:
        path = store.folder / "shards" / name
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        result = runner.invoke(verify, [str(store.folder), "--json"])
        assert result.exit_code == 1
        assert any(name in line and "sha256" in line for line in json.loads(result.stdout)["problems"])
        path.unlink()
        assert f"shards/{name} is missing" in list(verify_store(store))
        with pytest.raises(FormatError, match=f"has no shards/{name}"):
            list(store)
        path.write_bytes(whole)


def test_verify_compares_index_ids_and_counts(tmp_path: Path) -> None:
    info = make_info("jsonl", (4,))
    store = make_store(tmp_path / "s", info, [make_rows(info, [3, 2], ["a", BAD.id]), make_rows(info, [1], ["b"])])
    problems = list(verify_store(store))
    assert problems == [f"{BAD.id!r} is both in the shards and in errors.jsonl"]
    path = store.folder / "shards/00001.jsonl"
    path.write_text(path.read_text().replace('"b"', '"a"'))
    (store.folder / "shards/99999.jsonl").touch()
    text = "\n".join(verify_store(store))
    for part in ("'a' comes twice", "the index has", "sha256 differs", "99999.jsonl does not belong"):
        assert part in text


def test_code_out_of_range_is_named(tmp_path: Path) -> None:
    info = make_info("jsonl", (4,))
    store = make_store(tmp_path / "s", info, [make_rows(info, [1])])
    path = store.folder / "shards/00000.jsonl"
    entry = json.loads(path.read_text()) | {"codes": [[7]]}
    path.write_text(json.dumps(entry) + "\n")
    assert any("line 1" in p and "outside 0..3" in p for p in verify_store(store))


def test_mixed_shards_are_noticed(tmp_path: Path) -> None:
    info = make_info("parquet", (4,))
    store = make_store(tmp_path / "s", info, [make_rows(info, [1])])
    other = make_store(tmp_path / "t", replace(info, fingerprint="e"), [[]])
    (store.folder / "shards/00000.parquet").write_bytes((other.folder / "shards/00000.parquet").read_bytes())
    del store.shards[0]["bytes"]  # which would tell already
    with pytest.raises(FormatError, match="different stores were mixed"):
        list(store)


def test_missing_pyarrow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CodectokError, match=r"pip install 'codectok\[scale\]'"):
        StoreWriter(tmp_path / "s", make_info("jsonl", (4,)), 1)


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = make_info("jsonl", (4,))
    writer = StoreWriter(tmp_path / "s", info, 1)
    bad = [("a", None)]
    with pytest.raises(AttributeError):
        writer.write_shard(0, bad, [], "")  # type: ignore[arg-type]
    assert list((tmp_path / "s/shards").iterdir()) == []

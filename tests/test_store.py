from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.cli.store import convert, verify
from codectok.cli.tokenize import FORMATS as CLI_FORMATS
from codectok.errors import CodectokError, FingerprintError, FormatError
from codectok.store import ItemError, Store, StoreInfo, StoreOptions, open_store
from codectok.store.base import Row
from codectok.store.convert import convert_store
from codectok.store.fairseq import flatten, unflatten
from codectok.store.formats import FORMATS, get_format
from codectok.store.verify import verify_store
from codectok.store.writer import StoreWriter

BAD = ItemError("bad/ä", "bad/ä.wav", "AudioError", "cannot read it")


def make_info(format: str, sizes: tuple[int, ...], dedup: bool = False) -> StoreInfo:
    options = StoreOptions(dedup, format == "fairseq" and len(sizes) > 1, 3)
    return StoreInfo(format, "tiny", "f" * 32, 16000, Fraction(25, 2), sizes, options, "0" * 64)


def make_rows(info: StoreInfo, lengths: list[int], ids: list[str] | None = None, seed: int = 0) -> list[Row]:
    generator = torch.Generator().manual_seed(seed)
    rows: list[Row] = []
    for i, length in enumerate(lengths):
        codes = torch.stack(
            [torch.randint(0, n, (length,), generator=generator, dtype=torch.int64) for n in info.codebook_sizes]
        )
        tokens = info.tokens(codes, length * 1280 + i, None)
        rows.append((ids[i] if ids else f"u{seed}/{i}", tokens.dedup() if info.options.dedup else tokens))
    return rows


def make_store(folder: Path, info: StoreInfo, shards: list[list[Row]]) -> Store:
    writer = StoreWriter(folder, info, len(shards))
    for i, rows in enumerate(shards):
        writer.write_shard(i, rows, [BAD] if i == 0 else [], "items")
    writer.close({"wall_seconds": 1.0})
    return open_store(folder)


ids = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    format=st.sampled_from(sorted(FORMATS)),
    names=st.lists(ids, min_size=0, max_size=5, unique=True),
    sizes=st.lists(st.integers(1, 70000), min_size=1, max_size=4).map(tuple),
    dedup=st.booleans(),
    data=st.data(),
)
def test_what_is_written_is_read(
    format: str, names: list[str], sizes: tuple[int, ...], dedup: bool, data: st.DataObject
) -> None:
    info = make_info(format, sizes, dedup)
    lengths = data.draw(st.lists(st.integers(0, 7), min_size=len(names), max_size=len(names)))
    rows = make_rows(info, lengths, names)
    with tempfile.TemporaryDirectory() as folder:
        kind = get_format(format)
        path = Path(folder, f"00000{kind.suffixes[0]}")
        kind.check(info)
        kind.write_shard(path, rows, info)
        assert list(kind.read_shard(path, info)) == rows


@pytest.mark.parametrize("id", ["a b/c", "ünï-語", 'say "hi"', "line\u2028sep", "x\u0085y", "1,2|3", "back\\slash"])
@pytest.mark.parametrize("format", sorted(FORMATS))
def test_awkward_ids(tmp_path: Path, format: str, id: str) -> None:
    info = make_info(format, (4,))
    store = make_store(tmp_path / "s", info, [make_rows(info, [2, 1], [id, "z"])])
    assert [key for key, _ in store] == [id, "z"]
    assert store[id].num_frames == 2


def test_command_offers_every_format() -> None:
    assert set(CLI_FORMATS) == set(FORMATS)


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
    info = make_info("parquet", (4, 2))
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
        {"size": 4, "used_share": 0.5, "entropy_bits": 1.0},
        {"size": 2, "used_share": 1.0, "entropy_bits": 1.0},
    ]
    assert stats["dedup_ratio"] == 0.5
    merged = make_store(tmp_path / "d", replace(info, options=StoreOptions(dedup=True)), [[("a", tokens.dedup())]])
    assert {k: merged.stats[k] for k in ("frames", "codebooks", "dedup_ratio")} == {
        k: stats[k] for k in ("frames", "codebooks", "dedup_ratio")
    }


def test_fairseq_lines(tmp_path: Path) -> None:
    info = make_info("fairseq", (4,), dedup=True)
    tokens = info.tokens(torch.tensor([[3, 3, 0]]), 3840, None).dedup()
    make_store(tmp_path / "s", info, [[("a b", tokens)]])
    assert (tmp_path / "s/shards/00000.tsv").read_text() == ".\na b\t3840\n"
    assert (tmp_path / "s/shards/00000.km").read_text() == "3 0\n"
    assert (tmp_path / "s/shards/00000.dur").read_text() == "2 1\n"
    assert (tmp_path / "s/dict.km.txt").read_text() == "0 1\n1 1\n2 1\n3 1\n"


def test_fairseq_refuses_several_codebooks_unless_flat(tmp_path: Path) -> None:
    info = replace(make_info("fairseq", (4, 4)), options=StoreOptions())
    with pytest.raises(FormatError, match=r"--codebooks 1 .*--flatten"):
        StoreWriter(tmp_path / "s", info, 1)
    assert not (tmp_path / "s").exists()
    for other in ("parquet", "jsonl"):
        with pytest.raises(FormatError, match="leave out --flatten"):
            get_format(other).check(replace(info, format=other, options=StoreOptions(flatten=True)))


def test_flatten_order_and_inverse() -> None:
    codes = torch.tensor([[1, 2], [0, 4], [2, 2]])
    units = flatten(codes, (3, 5, 4))
    assert units.tolist() == [1, 3, 10, 2, 7, 10]
    assert torch.equal(unflatten(units, (3, 5, 4)), codes)
    with pytest.raises(FormatError, match="do not divide"):
        unflatten(units[:-1], (3, 5, 4))


def test_parquet_is_plain_parquet(tmp_path: Path) -> None:
    info = make_info("parquet", (8, 5))
    rows = make_rows(info, [3, 0])
    make_store(tmp_path / "s", info, [rows])
    table = pq.read_table(tmp_path / "s/shards/00000.parquet").to_pylist()
    assert table[0] == {
        "id": "u0/0",
        "num_samples": 3840,
        "num_frames": 3,
        "codes": rows[0][1].codes.tolist(),
        "durations": None,
    }
    assert table[1]["codes"] == [[], []]


@pytest.mark.parametrize("target", sorted(FORMATS))
@pytest.mark.parametrize("source", sorted(FORMATS))
def test_convert_keeps_everything(tmp_path: Path, source: str, target: str) -> None:
    info = make_info(source, (8, 5), dedup=True)
    shards = [make_rows(info, [4, 1, 0], seed=1), make_rows(info, [6], seed=2)]
    store = make_store(tmp_path / "a", info, shards)
    made = convert_store(store, tmp_path / "b", format=target, flatten=target == "fairseq")
    assert list(made) == list(store)
    assert made.errors == store.errors
    assert made.info.manifest == store.info.manifest
    assert list(verify_store(made)) == []


def test_convert_merges_runs_again_with_fewer_codebooks(tmp_path: Path) -> None:
    info = make_info("parquet", (4, 4), dedup=True)
    tokens = info.tokens(torch.tensor([[1, 1, 2], [0, 3, 3]]), 3840, None)
    store = make_store(tmp_path / "a", info, [[("a", tokens.dedup())]])
    made = convert_store(store, tmp_path / "b", format="fairseq", num_codebooks=1)
    assert made["a"] == tokens.first(1).dedup()
    assert (made["a"].codes.tolist(), made["a"].durations.tolist()) == ([[1, 2]], [2, 1])


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
    with pytest.raises(FormatError, match=r"format fairseq is now jsonl.*items_per_shard 3 is now 5.*delete"):
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
    assert found == ["errors.jsonl", "index.parquet", "shards", "shards/00000.jsonl", "stats.json", "store.json"]


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_verify_finds_damage(tmp_path: Path, format: str) -> None:
    info = make_info(format, (4,))
    store = make_store(tmp_path / "s", info, [make_rows(info, [3, 2], seed=1), make_rows(info, [2], seed=2)])
    assert list(verify_store(store)) == []
    runner = CliRunner()
    assert runner.invoke(verify, [str(store.folder)]).exit_code == 0
    path = store.folder / "shards" / f"00001{store.format.suffixes[-2] if format == 'fairseq' else '.' + format}"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    result = runner.invoke(verify, [str(store.folder), "--json"])
    assert result.exit_code == 1
    assert any("sha256" in line for line in json.loads(result.stdout)["problems"])
    path.unlink()
    assert any("is missing" in line for line in verify_store(store))
    with pytest.raises(FormatError, match="has no shards/00001"):
        list(store)


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
    with pytest.raises(FormatError, match="different stores were mixed"):
        list(store)


def test_convert_command(tmp_path: Path) -> None:
    info = make_info("parquet", (8, 5))
    store = make_store(tmp_path / "s", info, [make_rows(info, [4, 2])])
    runner = CliRunner()
    result = runner.invoke(convert, [str(store.folder), "-o", str(tmp_path / "k"), "--format", "fairseq"])
    assert result.exit_code == 2
    assert "--codebooks 1" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    arguments = [str(store.folder), "-o", str(tmp_path / "k"), "--format", "fairseq", "--codebooks", "1"]
    result = runner.invoke(convert, arguments)
    assert result.exit_code == 0, result.output
    assert [t.codes.tolist() for _, t in open_store(tmp_path / "k")] == [t.first(1).codes.tolist() for _, t in store]
    result = runner.invoke(convert, [str(tmp_path), "-o", str(tmp_path / "x"), "--format", "jsonl"])
    assert result.exit_code == 2
    assert "not a token store" in result.stderr


def test_missing_pyarrow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(CodectokError, match=r"pip install 'codectok\[scale\]'"):
        StoreWriter(tmp_path / "s", make_info("jsonl", (4,)), 1)


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = make_info("jsonl", (4,))
    writer = StoreWriter(tmp_path / "s", info, 1)
    bad = [("a", None)]
    with pytest.raises(AttributeError):
        writer.write_shard(0, bad, [], "")  # type: ignore[arg-type]
    assert list((tmp_path / "s/shards").iterdir()) == []

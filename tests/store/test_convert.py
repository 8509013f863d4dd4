"""Conversion: between all formats, nothing lost but what is asked for, and going on after a stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import codectok.store.convert as module
from codectok.cli.convert import convert
from codectok.errors import CodeRangeError, FormatError
from codectok.store import Store, open_store
from codectok.store.convert import convert_store
from codectok.store.names import FORMATS, SINGLE_STREAM
from codectok.store.verify import verify_store
from tests.store.making import make_info, make_rows, make_store

pytestmark = pytest.mark.usefixtures("no_sync")

AWKWARD = [["a b", "100%/x.y", "line\u2028sep|"], ["ü語"]]


def source(folder: Path, format: str, sizes: tuple[int, ...] = (8, 5), dedup: bool = True) -> Store:
    info = make_info(format, sizes, dedup)
    shards = [make_rows(info, [4, 1, 0], AWKWARD[0], seed=1), make_rows(info, [6], AWKWARD[1], seed=2)]
    return make_store(folder, info, shards)


def files_of(store: Store) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (store.folder / "shards").iterdir()}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Store]:
    return {format: source(tmp_path_factory.mktemp("stores") / format, format) for format in FORMATS}


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("start", FORMATS)
def test_all_pairs_keep_everything(tmp_path: Path, sources: dict[str, Store], start: str, target: str) -> None:
    store = sources[start]
    made = convert_store(store, tmp_path / "b", format=target, flatten=target in SINGLE_STREAM)
    assert list(made) == list(store)
    assert made.errors == store.errors
    assert made.info.manifest == store.info.manifest
    assert files_of(made) == files_of(sources[target])
    if target == start:
        assert list(verify_store(made)) == []


def test_runs_are_merged_and_undone(tmp_path: Path) -> None:
    store = source(tmp_path / "a", "parquet", dedup=False)
    merged = convert_store(store, tmp_path / "b", format="jsonl", dedup=True)
    assert [t for _, t in merged] == [t.dedup() for _, t in store]
    again = convert_store(merged, tmp_path / "c", format="textless", dedup=False, flatten=True)
    assert list(again) == list(store)


def test_fewer_codebooks_merge_runs_again(tmp_path: Path) -> None:
    info = make_info("parquet", (4, 4), dedup=True)
    tokens = info.tokens(torch.tensor([[1, 1, 2], [0, 3, 3]]), 3840, None)
    store = make_store(tmp_path / "a", info, [[("a", tokens.dedup())]])
    made = convert_store(store, tmp_path / "b", format="fairseq", num_codebooks=1)
    assert made["a"] == tokens.first(1).dedup()
    assert (made["a"].codes.tolist(), [2, 1]) == ([[1, 2]], made["a"].durations.tolist())  # type: ignore[union-attr]


def test_what_cannot_be_held_is_refused(tmp_path: Path) -> None:
    store = source(tmp_path / "a", "parquet")
    with pytest.raises(FormatError, match="gslm holds one stream"):
        convert_store(store, tmp_path / "b", format="gslm")
    with pytest.raises(CodeRangeError, match="has 2 codebooks, 3 asked for"):
        convert_store(store, tmp_path / "b", format="jsonl", num_codebooks=3)
    with pytest.raises(FormatError, match="choose another folder"):
        convert_store(store, tmp_path / "a", format="jsonl")
    assert not (tmp_path / "b").exists()


def test_it_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = source(tmp_path / "a", "parquet")
    whole = convert_store(store, tmp_path / "b", format="lhotse")
    told: list[int] = []

    def stop(items: int) -> None:
        told.append(items)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_store(store, tmp_path / "c", format="lhotse", progress=stop)
    with pytest.raises(FormatError, match="not finished"):
        open_store(tmp_path / "c")
    made: list[int] = []
    write = module.StoreWriter.write_shard

    def noted(self: module.StoreWriter, shard: int, *rest: Any) -> None:
        made.append(shard)
        write(self, shard, *rest)

    monkeypatch.setattr(module.StoreWriter, "write_shard", noted)
    resumed = convert_store(store, tmp_path / "c", format="lhotse")
    assert (told, made) == ([3], [1])
    assert files_of(resumed) == files_of(whole)


def test_command(tmp_path: Path) -> None:
    store = source(tmp_path / "s", "parquet", dedup=False)
    runner = CliRunner()
    result = runner.invoke(convert, [str(store.folder), "-o", str(tmp_path / "k"), "--format", "espnet"])
    assert result.exit_code == 2
    assert "--codebooks 1" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    arguments = [str(store.folder), "-o", str(tmp_path / "k"), "--format", "espnet", "--codebooks", "1", "--dedup"]
    result = runner.invoke(convert, arguments)
    assert result.exit_code == 0, result.output
    assert "left out: codebook 2 of 2" in result.stdout
    assert [t for _, t in open_store(tmp_path / "k")] == [t.first(1).dedup() for _, t in store]
    result = runner.invoke(convert, [*arguments, "--json"])
    assert json.loads(result.stdout)["left_out"] == ["codebook 2 of 2"]
    arguments = [str(store.folder), "-o", str(tmp_path / "f"), "--format", "gslm", "--flatten", "--json"]
    result = runner.invoke(convert, arguments)
    assert json.loads(result.stdout)["left_out"] == []
    result = runner.invoke(convert, [str(tmp_path), "-o", str(tmp_path / "x"), "--format", "jsonl"])
    assert result.exit_code == 2
    assert "not a token store" in result.stderr

"""Stores of BPE ids: every format that holds them gives the Tokens back, and what does not fit is one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codectok.store import open_store
from codectok.store.names import BPE_FORMATS
from codectok.transforms.unit_bpe import UnitBPE
from tests.commands import refused, run

pytest.importorskip("pyarrow")
RANDOM = ["--tokenizer", "random"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, stores of plain codes of it, and BPEs over one codebook, over merged runs, and over four."""
    root = tmp_path_factory.mktemp("bpe")
    (root / "wav").mkdir()
    for i in range(12):
        noise = np.random.default_rng(i).uniform(-0.5, 0.5, 6000 + 900 * i)
        soundfile.write(root / "wav" / f"{i:02d}.wav", noise, 16000)
    for name, args in (("one", ["--codebooks", 1]), ("four", ["--codebooks", 4]), ("pcm", ["--tokenizer", "pcm"])):
        done = run(
            "tokenize", root / "wav", "-o", root / name, *([] if name == "pcm" else RANDOM), *args, "--workers", 1
        )
        assert done.exit_code == 0, done.output
    sizes = {"one": 1040, "four": 4110, "pcm": 300}
    for name, args in (("one", ["--no-dedup"]), ("four", []), ("pcm", [])):
        made = ["units", "bpe", root / name, "-o", root / f"{name}.json", "--min-frequency", 1]
        assert run(*made, "--vocab-size", sizes[name], *args).exit_code == 0
    return root


@pytest.mark.parametrize("form", BPE_FORMATS)
@pytest.mark.parametrize("name", ["one", "four", "pcm"])
def test_tokens_come_back(folder: Path, tmp_path: Path, form: str, name: str) -> None:
    plain, dedup = open_store(folder / name), ["--dedup"] * (name == "pcm")
    tokenizer = [] if name == "pcm" else RANDOM
    tokenizer = ["--tokenizer", "pcm"] if name == "pcm" else tokenizer
    args = ["--bpe", folder / f"{name}.json", "--format", form, "--workers", 1, "--shard-size", 5]
    made = run("tokenize", folder / "wav", "-o", tmp_path / "store", *tokenizer, *dedup, *args)
    assert made.exit_code == 0, made.output
    store = open_store(tmp_path / "store")
    assert [(row.id, row.tokens.expand()) for row in store] == [(row.id, row.tokens) for row in plain]
    bpe = UnitBPE.load(folder / f"{name}.json")
    assert UnitBPE.load(tmp_path / "store").fingerprint == bpe.fingerprint
    assert json.loads((tmp_path / "store" / "store.json").read_text())["transform"]["bpe"] == bpe.fingerprint
    assert str(store.info.unit_transform).endswith(f"BPE of {bpe.vocab_size} ({bpe.fingerprint[:8]})")
    assert store.stats["bpe"]["tokens"] == sum(len(bpe.encode(row.tokens)) for row in plain)
    assert run("verify", tmp_path / "store").exit_code == 0
    undone = run("convert", tmp_path / "store", "-o", tmp_path / "codes", "--format", "jsonl", "--no-bpe", "--expand")
    assert undone.exit_code == 0, undone.output
    assert [row.tokens for row in open_store(tmp_path / "codes")] == [row.tokens for row in plain]
    assert not (tmp_path / "codes" / "bpe.json").exists()


def test_files_hold_ids(folder: Path, tmp_path: Path) -> None:
    args = ["convert", folder / "one", "--bpe", folder / "one.json", "--format"]
    for form in ("gslm", "jsonl"):
        made = run(*args, form, "-o", tmp_path / form)
        assert made.exit_code == 0, made.output
    bpe, (key, tokens) = UnitBPE.load(folder / "one.json"), next(iter(open_store(folder / "one")))
    ids = bpe.encode(tokens).ids.tolist()
    assert max(ids) >= bpe.num_symbols
    line = (tmp_path / "gslm" / "shards" / "00000.txt").read_text().splitlines()[0]
    assert line == f"{key}|{' '.join(map(str, ids))}"
    entry = json.loads((tmp_path / "jsonl" / "shards" / "00000.jsonl").read_text().splitlines()[0])
    assert entry["codes"] == [ids]
    assert entry["num_frames"] == tokens.num_frames


def test_what_does_not_fit_is_one_line(folder: Path, tmp_path: Path) -> None:
    tokenize = ["tokenize", folder / "wav", "-o", tmp_path / "store", "--workers", 1]
    one, pcm = ["--bpe", folder / "one.json"], ["--bpe", folder / "pcm.json"]
    assert "add --dedup" in refused(*tokenize, "--tokenizer", "pcm", *pcm)
    assert "leave out --dedup" in refused(*tokenize, *RANDOM, *one, "--dedup")
    assert "--codebooks 1" in refused(*tokenize, *RANDOM, *one, "--codebooks", 2)
    assert "codectok units bpe" in refused(*tokenize, *RANDOM, *pcm, "--dedup")
    assert "has no BPE of its own" in refused(*tokenize, *RANDOM, "--bpe")
    assert "no BPE ids: use --format parquet" in refused(*tokenize, *RANDOM, *one, "--format", "kaldi")
    assert "there is no" in refused(*tokenize, *RANDOM, "--bpe", tmp_path / "none.json")
    assert not (tmp_path / "store" / "store.json").exists()
    assert run(*tokenize, *RANDOM, *one).exit_code == 0
    assert "--no-bpe" in refused("convert", tmp_path / "store", "-o", tmp_path / "c", "--dedup")
    assert "leave out --bpe" in run("convert", tmp_path / "store", "-o", tmp_path / "c", "--no-bpe", *one).stderr


def test_the_file_beside_is_the_stores_own(folder: Path, tmp_path: Path) -> None:
    assert run("convert", folder / "one", "-o", tmp_path / "s", "--bpe", folder / "one.json").exit_code == 0
    UnitBPE.load(folder / "one.json").truncate(1030).save(tmp_path / "s")
    assert "is needed" in refused("info", tmp_path / "s")
    (tmp_path / "s" / "bpe.json").unlink()
    assert "has no bpe.json" in refused("info", tmp_path / "s")

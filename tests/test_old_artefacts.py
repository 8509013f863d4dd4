"""What 0.1.0 wrote still opens, verifies and decodes: token files, stores, model folders, vocabularies, datasets.

``tests/data/v0_1/make.py`` says how each was made, ``expected.json`` what was in it. Decoded samples are not compared:
a decoder may get better, the codes may not change.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from codectok import Tokens, load
from codectok.audio import as_written
from codectok.cli.main import main
from codectok.llm import AudioVocab
from codectok.shipped import maker_of
from codectok.store import open_store
from codectok.transforms.unit_bpe import UnitBPE
from codectok.units.vocoder.folder import open_vocoder

OLD = Path(__file__).parent / "data" / "v0_1"
EXPECTED = json.loads((OLD / "expected.json").read_text())


def digest(codes: torch.Tensor) -> str:
    """Of codes, int64 [K, T], as in ``make.py``."""
    return hashlib.sha256(codes.contiguous().numpy().astype("<i8").tobytes()).hexdigest()[:16]


def codectok(*arguments: str | Path) -> str:
    """Standard output of a command that succeeds."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def heard(wave: np.ndarray, num_samples: int) -> None:
    assert wave.shape == (num_samples,)
    assert np.isfinite(wave).all()
    assert wave.std() > 0


@pytest.mark.parametrize("name", EXPECTED["ctk"])
def test_token_files(name: str) -> None:
    tokens = Tokens.load(OLD / "ctk" / f"{name}.ctk")
    assert [tokens.num_samples, list(tokens.codes.shape), digest(tokens.codes)] == EXPECTED["ctk"][name][1:]
    heard(load(maker_of(tokens.fingerprint) or name.partition("-")[0]).decode(tokens), tokens.num_samples)


def test_files_find_their_decoder_without_its_name(tmp_path: Path) -> None:
    """Though the default has moved on since."""
    codectok("decode", OLD / "ctk" / "speech-6.ctk", "-o", tmp_path / "old.wav")
    assert load().fingerprint != Tokens.load(OLD / "ctk" / "speech-6.ctk").fingerprint


@pytest.mark.parametrize("name", EXPECTED["stores"])
def test_stores(name: str, tmp_path: Path) -> None:
    store, expected = open_store(OLD / "stores" / name), EXPECTED["stores"][name]["rows"]
    assert [[key, t.num_samples, list(t.codes.shape), digest(t.codes)] for key, t in store] == expected
    assert [error.id for error in store.errors] == ["audio/bad"]
    codectok("verify", OLD / "stores" / name)
    tokens = store["audio/queue"]
    heard(load(maker_of(tokens.fingerprint) or name.partition("-")[0]).decode(tokens), tokens.num_samples)
    codectok("convert", OLD / "stores" / name, "-o", tmp_path / "again", "--format", "jsonl", "--overwrite")
    again = open_store(tmp_path / "again")
    assert [[key, t.num_samples, list(t.codes.shape), digest(t.codes)] for key, t in again] == expected


def test_a_store_has_the_codes_that_its_tokenizer_gives_now() -> None:
    for name in ("speech-parquet", "units-parquet"):
        codectok("verify", OLD / "stores" / name, "--corpus", OLD / "corpus.csv", "--sample", "3")


@pytest.mark.parametrize("name", EXPECTED["models"])
def test_model_folders(name: str, tmp_path: Path) -> None:
    fingerprint, shape = EXPECTED["models"][name]
    path = (
        str(shutil.copytree(OLD / name, tmp_path / "model")) if (OLD / name).is_dir() else maker_of(fingerprint) or name
    )
    tokenizer = load(path)
    units = load("units")
    wave = as_written(units.decode(Tokens.load(OLD / "ctk" / "units.ctk")))
    tokens = tokenizer.encode(wave, units.sample_rate)
    assert list(tokens.codes.shape) == shape
    tokenizer.check(replace(tokens, fingerprint=fingerprint))
    if tokenizer.can_decode:
        heard(tokenizer.decode(tokens), tokens.num_samples)


def test_k_means_units_open_by_prefix() -> None:
    tokenizer = load(f"km:{OLD / 'km'}")
    assert tokenizer.encode(np.full(8000, 0.1, np.float32), 16000).num_frames == 25


def test_unit_vocoder() -> None:
    wave = open_vocoder(OLD / "vocoder").decode(torch.arange(30)[None], 9600)
    heard(np.asarray(wave), 9600)


@pytest.mark.parametrize("name", EXPECTED["vocabularies"])
def test_vocabularies(name: str) -> None:
    vocab = AudioVocab.load(OLD / name)
    assert [vocab.fingerprint, vocab.base_id, vocab.rows, digest(torch.tensor(vocab.id_mask))] == (
        EXPECTED["vocabularies"][name]
    )


def test_extended_model() -> None:
    assert json.loads(codectok("llm", "verify", OLD / "model", "--json"))
    transformers: Any = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(OLD / "model")
    assert model.get_input_embeddings().weight.shape[0] >= AudioVocab.load(OLD / "model").end_id


def test_packed_dataset_is_of_the_vocabulary(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    vocab = AudioVocab.load(OLD / "model")
    rows = parquet.read_table(sorted((OLD / "pack" / "data").glob("*.parquet"))).to_pylist()
    ids = np.concatenate([row["input_ids"] for row in rows])
    assert vocab.owns(ids).any()
    codectok("llm", "pack", OLD / "stores" / "units-jsonl", "-o", tmp_path / "pack", "--model", OLD / "model",
             "--text", OLD / "corpus.csv", "--length", "256")  # fmt: skip


def test_merges_of_units() -> None:
    bpe = UnitBPE.load(OLD / "bpe")
    assert bpe.vocab_size == 502
    tokens = open_store(OLD / "stores" / "units-parquet")["audio/minutes"].expand()
    assert torch.equal(bpe.decode(bpe.encode(tokens)).codes, tokens.codes)

"""A store back to audio, item by item; audio from a pipe to tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from codectok import Tokens, load
from codectok.cli.main import main
from codectok.controls import PcmTokenizer
from codectok.files.inside import id_path
from codectok.store import StoreInfo, StoreOptions, open_store
from codectok.store.info import Row
from tests.store.making import make_store

pytest.importorskip("pyarrow")
IDS = ["a", "en/clip.one", "../up", "/etc/passwd", "a:b", "con", "A"]


def run(*args: Any, **options: Any) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args], **options)


def tone(seconds: float, pitch: float = 220) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * 16000)) / 16000)).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    tok = PcmTokenizer()
    rate, sizes = Fraction(tok.frame_rate), tok.codebook_sizes
    info = StoreInfo("jsonl", "pcm", tok.fingerprint, 16000, rate, sizes, StoreOptions(), "0" * 64)
    rows = [Row(id, tok.encode(tone(0.1 + 0.01 * i), 16000)) for i, id in enumerate(IDS)]
    make_store(tmp_path / "store", info, [rows[:3], rows[3:]])
    return tmp_path / "store"


def test_each_item_becomes_a_file(store: Path, tmp_path: Path) -> None:
    done = run("decode", store, "-o", tmp_path / "out", "--json")
    assert done.exit_code == 1, done.output  # "A" and "a" are one file on some disks
    plain = json.loads(done.stdout)
    assert plain["files"] == len(IDS) - 1
    assert [f["file"] for f in plain["failed"]] == ["A"]
    assert "'a'" in plain["failed"][0]["reason"]
    found = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert found == {f"{id_path(id)}.wav" for id in IDS[:-1]}
    for i, id in enumerate(IDS[:-1]):
        samples, rate = soundfile.read(tmp_path / "out" / f"{id_path(id)}.wav", dtype="float32")
        assert rate == 16000
        assert np.abs(samples - PcmTokenizer().decode(open_store(store)[id])).max() < 1e-4
        assert len(samples) == round(16000 * (0.1 + 0.01 * i))


def test_what_exists_is_kept_and_a_store_is_alone(store: Path, tmp_path: Path) -> None:
    assert run("decode", store, "-o", tmp_path / "out", "--format", "flac").exit_code == 1
    again = run("decode", store, "-o", tmp_path / "out", "--format", "flac")
    assert again.exit_code == 2
    assert "exists" in again.stderr
    assert run("decode", store, "-o", tmp_path / "out", "--format", "flac", "--overwrite").exit_code == 1
    for args in ((store, store), (store, "x.ctk")):
        assert "decoded alone" in run("decode", *args, "-o", tmp_path / "two").stderr
    assert "into a folder" in run("decode", store, "-o", tmp_path / "a.wav").stderr
    assert "has 1" in run("decode", store, "-o", tmp_path / "two", "--codebooks", 2).stderr
    other = run("decode", store, "-o", tmp_path / "two", "--tokenizer", "random")
    assert other.exit_code == 2


def test_a_damaged_shard_costs_its_items_alone(store: Path, tmp_path: Path) -> None:
    shard = next((store / "shards").glob("00001*"))
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    done = run("decode", store, "-o", tmp_path / "out", "--json")
    assert done.exit_code == 1
    plain = json.loads(done.stdout)
    assert plain["files"] + len(plain["failed"]) == len(IDS)
    assert 3 <= plain["files"] < len(IDS) - 1


def test_first_codebooks_only(tmp_path: Path) -> None:
    """Of a store and of a file: as the tokens with these codebooks alone."""
    tok = load("speech")
    tokens = tok.encode(tone(0.5), 16000)
    info = StoreInfo("parquet", "speech", tok.fingerprint, tok.sample_rate, tok.frame_rate, tok.codebook_sizes,
                     StoreOptions(), "0" * 64)  # fmt: skip
    make_store(tmp_path / "store", info, [[Row("x", tokens)]])
    tokens.save(tmp_path / "x.ctk")
    wanted = tok.decode(tokens.first(2))
    for source in ("store", "x.ctk"):
        done = run("decode", tmp_path / source, "-o", tmp_path / f"out-{source[0]}", "--codebooks", 2)
        assert done.exit_code == 0, done.output
        samples, _ = soundfile.read(tmp_path / f"out-{source[0]}" / "x.wav", dtype="float32")
        assert np.abs(samples - wanted).max() < 1e-4
        assert np.abs(samples - tok.decode(tokens)).max() > 1e-3
    refused = run("decode", tmp_path / "x.ctk", "-o", tmp_path / "more", "--codebooks", 99)
    assert refused.exit_code == 2
    assert not list((tmp_path / "more").glob("*"))


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_audio_from_a_pipe(tmp_path: Path, form: str) -> None:
    wav = tmp_path / "a.audio"
    soundfile.write(wav, tone(0.3), 16000, format=form)
    done = run("encode", "--stdin", "-o", tmp_path / "a.ctk", "--tokenizer", "pcm", input=wav.read_bytes())
    assert done.exit_code == 0, done.output
    assert Tokens.load(tmp_path / "a.ctk") == PcmTokenizer().encode(wav)
    bad = run("encode", "--stdin", "-o", tmp_path / "b.ctk", "--tokenizer", "pcm", input=b"no audio")
    assert bad.exit_code == 2
    assert not (tmp_path / "b.ctk").exists()
    assert "stdin" in bad.stderr


def test_a_real_pipe(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.3), 16000)
    words = [sys.executable, "-m", "codectok", "encode", "--stdin", "-o", str(tmp_path / "a.ctk"), "--tokenizer", "pcm"]
    with open(tmp_path / "a.wav", "rb") as file:
        subprocess.run(words, stdin=file, check=True, capture_output=True)
    assert Tokens.load(tmp_path / "a.ctk") == PcmTokenizer().encode(tmp_path / "a.wav")


def test_a_pipe_is_one_file(tmp_path: Path) -> None:
    assert "not both" in run("encode", "a.wav", "--stdin", "-o", tmp_path / "a.ctk").stderr
    assert "give AUDIO or --stdin" in run("encode", "-o", tmp_path / "a.ctk").stderr
    assert ".ctk" in run("encode", "--stdin", "-o", tmp_path / "folder", input=b"x").stderr

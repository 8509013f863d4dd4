"""A corpus with damaged and hostile files: a line for each, the others are tokenized, and the exit status says so."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from codectok.cli.main import main
from codectok.store import open_store
from tests.audio.making import RATE, encoded, noise


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)


def tokenize(corpus: Path, out: Path, *options: object) -> Result:
    return run("tokenize", corpus, "-o", out, "--tokenizer", "pcm", "--workers", 1, *options)


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files that are whole, two that are damaged and can be read."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    good = encoded(tmp_path, noise(4000), "WAV", "PCM_16")
    (corpus / "a.wav").write_bytes(good)
    (corpus / "b.wav").write_bytes(patched(good, 40, b"\xff" * 4))
    (corpus / "c.mp3").write_bytes(encoded(tmp_path, noise(8000), "MP3") + b"junk" * 500)
    (corpus / "d.flac").write_bytes(encoded(tmp_path, noise(4000), "FLAC"))
    return corpus


def test_damaged_files_are_read_with_a_warning_each(folder: Path, tmp_path: Path) -> None:
    done = tokenize(folder, tmp_path / "s")
    assert done.exit_code == 0
    assert re.search(r"warning: .*b\.wav has a header that claims .*length", done.stderr)
    assert re.search(r"warning: .*c\.mp3 has 2000 bytes that are no audio", done.stderr)
    store = open_store(tmp_path / "s")
    assert [row.id for row in store] == ["a", "b", "c", "d"]
    assert [row.num_samples for row in store.index()] == [4000, 4000, 8000, 4000]
    assert store.errors == []
    assert [w.id for w in store.iter_warnings()] == ["b", "c"]
    lines = [json.loads(line) for line in (tmp_path / "s/errors.jsonl").read_text().splitlines()]
    assert [(line["id"], line["kind"]) for line in lines] == [("b", "AudioWarning"), ("c", "AudioWarning")]
    assert (store.stats["warnings"], store.stats["failed"]) == (2, 0)
    assert run("verify", tmp_path / "s", "--corpus", folder, "--sample", 4).exit_code == 0


def test_strict_refuses_them(folder: Path, tmp_path: Path) -> None:
    done = tokenize(folder, tmp_path / "s", "--strict")
    assert done.exit_code == 1
    store = open_store(tmp_path / "s")
    assert [row.id for row in store] == ["a", "d"]
    assert [(e.id, e.kind) for e in store.errors] == [("b", "AudioError"), ("c", "AudioError")]
    assert "failed: b: AudioError" in done.stderr
    assert "repair it, or read it without --strict" in done.stderr
    assert tokenize(folder, tmp_path / "s", "--strict").exit_code == 1
    again = tokenize(folder, tmp_path / "s")
    assert again.exit_code == 2
    assert "--strict yes is now no" in again.stderr


def test_parts_merge_to_the_bytes_of_one_run(folder: Path, tmp_path: Path) -> None:
    tokenize(folder, tmp_path / "whole", "--shard-size", 1)
    for i in (1, 2):
        tokenize(folder, tmp_path / f"p{i}", "--shard-size", 1, "--shard", f"{i}/2")
    assert run("merge", tmp_path / "p1", tmp_path / "p2", "-o", tmp_path / "merged").exit_code == 0
    for name in ("errors.jsonl", "store.json", "index.parquet"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_file_of_many_segments_warns_once(folder: Path, tmp_path: Path) -> None:
    lines = [{"id": str(i), "path": "b.wav", "offset": i / 100, "duration": 0.01} for i in range(20)]
    (folder / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = tokenize(folder / "m.jsonl", tmp_path / "s", "--shard-size", 3)
    assert done.exit_code == 0
    assert done.stderr.count("warning:") == 1
    assert open_store(tmp_path / "s").stats["warnings"] == 1


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_hostile_files_are_a_line_each(folder: Path, tmp_path: Path) -> None:
    wav = encoded(tmp_path, np.zeros(4000, np.float32), "WAV", "PCM_16")
    flac = encoded(tmp_path, np.zeros(4000, np.float32), "FLAC")
    hostile = {
        "rate-0.wav": patched(wav, 24, bytes(4)),
        "rate-10-mhz.wav": patched(wav, 24, (10_000_000).to_bytes(4, "little")),
        "channels-255.wav": patched(patched(wav, 22, b"\xff\0"), 32, b"\xfe\1"),
        "both.wav": patched(patched(patched(wav, 24, (10**7).to_bytes(4, "little")), 22, b"\xff\0"), 32, b"\xfe\1"),
        "count.flac": patched(flac, 21, bytes([flac[21] | 15]) + b"\xff" * 4),
        "folder.wav/x.wav": b"",
    }
    for name, data in hostile.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    loud = noise(4000)
    loud[5] = 1e19
    soundfile.write(folder / "loud.wav", loud, RATE, "FLOAT")
    soundfile.write(folder / "int16-scale.wav", noise(4000) * 32768, RATE, "FLOAT")
    os.mkfifo(folder / "pipe.wav")
    done = tokenize(folder, tmp_path / "s", "--max-errors", 100)
    assert done.exit_code == 1
    store = open_store(tmp_path / "s")
    assert [row.id for row in store] == ["a", "b", "c", "d"]
    failed = {error.id: error for error in store.errors}
    names = {name.rpartition(".")[0] for name in hostile}
    assert failed.keys() == names | {"loud", "int16-scale", "pipe"}
    assert {error.kind for error in failed.values()} == {"AudioError"}
    assert all("\n" not in error.message and len(error.message) < 300 for error in failed.values())
    assert done.stderr.count("failed: ") == len(failed)

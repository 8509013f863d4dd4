from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codectok.corpus import estimate as module
from codectok.corpus.estimate import estimate
from codectok.corpus.pipeline import tokenize_corpus
from codectok.errors import CodectokError
from codectok.items.corpus import read_corpus
from codectok.tokenizer import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("audio")
    rng = np.random.default_rng(0)
    for i in range(24):
        soundfile.write(out / f"{i:02}.wav", rng.normal(size=8000 + 800 * (i * 7 % 24)) / 9, 8000)
    return out


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_a_whole_sample_says_what_the_run_says(folder: Path, tmp_path: Path, format: str) -> None:
    tokenizer = load("random")
    k = len(tokenizer.codebook_sizes)
    found = estimate(read_corpus(folder), tokenizer, k, format=format, workers=3)
    stats = tokenize_corpus(read_corpus(folder), tokenizer, tmp_path / "s", format=format).stats
    assert found.items == stats["items"] == 24
    assert found.sampled == 24
    assert found.hours.value == pytest.approx(stats["hours_audio"], rel=1e-3)
    assert found.hours.low == found.hours.value == found.hours.high  # nothing was left out
    assert found.megabytes.value == pytest.approx(stats["bytes"] / 1e6, rel=0.15)
    assert found.failed == 0
    assert found.run_hours.value == pytest.approx(found.hours.value / found.x_real_time.value)
    for r in (found.x_real_time, found.run_hours, found.megabytes):
        assert 0 < r.low <= r.value <= r.high
    assert [row["what"] for row in found.rows()][3] == "seconds on the clock, 3 workers"


def test_workers_divide_the_time(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(module, "_tokenize", lambda *_: ([(1.0, 20.0), (1.0, 20.0)], _rows(), 1, 4))
    one, four = (estimate(read_corpus(folder), load("random"), 1, workers=n) for n in (1, 4))
    assert one.x_real_time.value == pytest.approx(20 * module.BUSY_SHARE)
    assert four.run_hours.value == pytest.approx(one.run_hours.value / 4)
    assert one.failed == 24 / 4


def test_the_clock_has_the_start_in_it(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(module.time, "process_time", iter([10.0, 14.0, 20.0]).__next__)
    found = estimate(read_corpus(folder), load("random"), 1, from_start=True)
    row = found.rows()[3]
    assert str(row["what"]).startswith("seconds on the clock")
    assert row["estimate"] == pytest.approx(16 + 3600 * found.run_hours.value)
    assert float(str(row["from"])) > 16


def _rows() -> list:  # type: ignore[type-arg]
    tokenizer = load("random")
    return [(str(i), tokenizer.encode(np.zeros(8000), 8000, num_codebooks=1)) for i in range(3)]


def test_a_sample_of_headers_gives_a_spread_that_holds_the_truth(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(module, "MEASURED_ITEMS", 12)
    truth = sum(soundfile.info(p).duration for p in folder.glob("*.wav")) / 3600
    inside = 0
    for seed in range(20):
        found = estimate(read_corpus(folder), load("random"), 1, seed=seed, sample_items=2).hours
        assert found.low < found.value < found.high
        inside += found.low <= truth <= found.high
    assert inside >= 17


def test_durations_of_the_manifest_are_taken_and_no_file_is_written(folder: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    lines = [{"id": str(i), "path": str(folder / "00.wav"), "duration": 0.25} for i in range(3000)]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = estimate(read_corpus(manifest), load("random"), 1, sample_items=4)
    assert (found.items, found.hours.value) == (3000, pytest.approx(3000 * 0.25 / 3600))
    assert list(tmp_path.iterdir()) == [manifest]


def test_what_cannot_be_estimated_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFFnothing")
    with pytest.raises(CodectokError, match=r"none of 1 items of .* could be tokenized"):
        estimate(read_corpus(tmp_path), load("random"), 1)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(CodectokError):
        estimate(read_corpus(tmp_path), load("random"), 1)

"""A corpus to a store: each item as it is alone, bad files by themselves, long ones in blocks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import soundfile

import codectok.corpus.plan
from codectok.errors import CodectokError, FormatError
from codectok.items.corpus import read_corpus
from codectok.store import open_store
from codectok.store.verify import verify_store
from tests.corpus.energy import EnergyTokenizer, HatesLoud, run, spoil, wave


@pytest.mark.parametrize("workers", [1, 3])
def test_each_item_gets_the_codes_it_has_alone(audio: Path, tmp_path: Path, workers: int) -> None:
    seen: list[tuple[int, int]] = []
    summary = run(audio, tmp_path / "s", workers=workers, progress=lambda done, total: seen.append((done, total)))
    store = open_store(tmp_path / "s")
    corpus = list(read_corpus(audio))
    assert [key for key, _ in store] == [item.id for item in corpus]
    for item in corpus:
        assert store[item.id] == EnergyTokenizer().encode(item.path)
    assert summary.items == len(store) == 10
    assert summary.failed == 0
    assert store.num_shards == 4
    assert seen[-1] == (10, 10)
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)
    assert summary.stats["seconds_audio"] == pytest.approx(sum(t.duration for _, t in store))
    assert summary.stats["run"]["x_real_time"] > 0
    assert list(verify_store(store)) == []


def test_options(audio: Path, tmp_path: Path) -> None:
    plain, flat = run(audio, tmp_path / "p"), run(audio, tmp_path / "f", format="fairseq", flatten=True)
    assert dict(open_store(flat.out)) == dict(open_store(plain.out))
    one = run(audio, tmp_path / "1", format="fairseq", num_codebooks=1, dedup=True)
    assert {k: t.expand() for k, t in open_store(one.out)} == {k: t.first(1) for k, t in open_store(plain.out)}
    assert one.stats["tokens"] < one.stats["frames"]
    with pytest.raises(FormatError, match=r"--codebooks 1 .*--flatten"):
        run(audio, tmp_path / "x", format="fairseq")
    with pytest.raises(CodectokError, match="workers must be a number above 0"):
        run(audio, tmp_path / "x", workers=0)
    assert not (tmp_path / "x").exists()


def test_bad_files_are_listed_and_take_no_other_with_them(audio: Path, tmp_path: Path) -> None:
    spoil(audio)
    summary = run(audio, tmp_path / "s")
    store = open_store(tmp_path / "s")
    assert [e.id for e in store.errors] == ["a2", "nan", "none", "sub/empty", "zz"]
    assert {e.kind for e in store.errors} == {"AudioError"}
    assert all(e.message and "\n" not in e.message and os.path.isabs(e.path) for e in store.errors)
    assert summary.failed == 5
    assert summary.items == len(store) == 9
    assert summary.first_errors == store.errors
    for key, tokens in store:
        path = next(p for p in audio.rglob("*") if p.relative_to(audio).with_suffix("").as_posix() == key)
        assert tokens == EnergyTokenizer().encode(path)
    assert list(verify_store(store)) == []


def test_a_batch_that_fails_is_tried_one_by_one(audio: Path, tmp_path: Path) -> None:
    loud = wave(0.5, 8000, 1)
    loud[7] = 1.0
    soundfile.write(audio / "loud.wav", loud, 8000, subtype="FLOAT")
    run(audio, tmp_path / "s", HatesLoud(), items_per_shard=50, batch_seconds=9.0)
    store = open_store(tmp_path / "s")
    assert len(store) == 10
    assert [(e.id, e.kind, e.message) for e in store.errors] == [("loud", "RuntimeError", "too loud")]


def test_batches_are_of_like_length_and_bounded(audio: Path, tmp_path: Path) -> None:
    tokenizer = HatesLoud()
    run(audio, tmp_path / "s", tokenizer, items_per_shard=50, batch_seconds=2.0)
    sizes = [n for batch in tokenizer.batches for n in batch]
    assert sizes == sorted(sizes, reverse=True)
    assert all(len(b) == 1 or len(b) * b[0] <= 2.0 * 8000 for b in tokenizer.batches)
    assert 3 <= len(tokenizer.batches) <= 8


def test_long_files_are_streamed(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codectok.corpus.plan, "LONG_SECONDS", 1.0)
    tokenizer = HatesLoud()
    run(audio, tmp_path / "s", tokenizer)
    assert max(n for batch in tokenizer.batches for n in batch) <= 8000
    assert dict(open_store(tmp_path / "s")) == dict(open_store(run(audio, tmp_path / "t").out))


def test_segments(audio: Path, tmp_path: Path) -> None:
    samples, rate = wave(3.0, 8000, 0), 8000
    soundfile.write(audio / "a0.wav", samples, rate, subtype="FLOAT")
    lines = [
        {"id": "middle", "path": "a0.wav", "offset": 0.5, "duration": 1.25},
        {"id": "tail", "path": "a0.wav", "offset": 2.5},
        {"id": "head", "path": "a0.wav", "duration": 0.01},
        {"id": "rounded", "path": "a0.wav", "offset": 2.0, "duration": 1.02},
        {"id": "past", "path": "a0.wav", "offset": 3.0},
        {"id": "beyond", "path": "a0.wav", "offset": 2.0, "duration": 2.0},
        {"id": "gone", "path": "no.wav", "offset": 1.0},
    ]
    manifest = audio / "m.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run(manifest, tmp_path / "s")
    store = open_store(tmp_path / "s")
    parts = {"middle": samples[4000:14000], "tail": samples[20000:], "head": samples[:80], "rounded": samples[16000:]}
    assert dict(store) == {key: EnergyTokenizer().encode(part, rate) for key, part in parts.items()}
    assert {e.id: e.kind for e in store.errors} == dict.fromkeys(["past", "beyond", "gone"], "AudioError")
    assert "correct the manifest" in store.errors[0].message


def test_long_segments_are_streamed(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [{"id": str(rate), "path": f"a{rate}.wav", "offset": 0.31, "duration": 2.2} for rate in (8000, 44100)]
    lines.append({"id": "beyond", "path": "a8000.wav", "offset": 2.0, "duration": 2.2})
    for rate in (8000, 44100):
        soundfile.write(audio / f"a{rate}.wav", wave(3.0, rate, 1), rate)
    (audio / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    held = dict(open_store(run(audio / "m.jsonl", tmp_path / "s").out))
    monkeypatch.setattr(codectok.corpus.plan, "LONG_SECONDS", 1.0)
    tokenizer = HatesLoud()
    assert run(audio / "m.jsonl", tmp_path / "t", tokenizer).failed == 1
    assert tokenizer.batches == []
    assert dict(open_store(tmp_path / "t")) == held
    assert len(held) == 2

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner, Result
from torch import Tensor

import codectok.corpus.plan
from codectok.cli.tokenize import tokenize
from codectok.corpus.pipeline import TokenizeSummary, tokenize_corpus
from codectok.errors import CodectokError, FingerprintError, FormatError
from codectok.items.corpus import Corpus, Scan, read_corpus
from codectok.store import open_store
from codectok.store.verify import verify_store
from codectok.tokenizer import Tokenizer

HOP = 80


class EnergyTokenizer(Tokenizer):
    """Codebook 0: loudness of a frame; codebook 1: its zero crossings. Causal, deterministic, tiny."""

    name = "energy"
    sample_rate = 8000
    frame_rate = Fraction(100)
    codebook_sizes = (16, 8)
    fingerprint = "energy"
    feature_dim = 2
    causal = True
    can_decode = False

    def num_frames(self, num_samples: int) -> int:
        return -(-num_samples // HOP)

    def _codes(self, samples: np.ndarray, k: int) -> Tensor:
        frames = np.pad(samples, (0, -len(samples) % HOP)).reshape(-1, HOP)
        loud = np.minimum(15, (np.sqrt((frames**2).mean(1)) * 20).astype(np.int64))
        crossings = (np.diff(np.sign(frames), axis=1) != 0).sum(1) % 8
        return torch.from_numpy(np.stack([loud, crossings])[:k])

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        return [self._codes(clip, num_codebooks) for clip in clips]

    def _features(self, clips: list[np.ndarray]) -> list[Tensor]:
        return [self._codes(clip, 2).t().float() for clip in clips]

    def encode_step(self, state: Any, chunk: Tensor, num_codebooks: int, final: bool = False) -> tuple[Any, Tensor]:
        held = np.concatenate([np.zeros(0, np.float32) if state is None else state, chunk.numpy()])
        whole = len(held) if final else len(held) - len(held) % HOP
        return held[whole:], self._codes(held[:whole], num_codebooks)


class StoppedAfter(EnergyTokenizer):
    """Is interrupted at the n-th batch, as by Ctrl-C."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super()._encode(clips, num_codebooks)


class Slow(EnergyTokenizer):
    """Leaves time to be killed."""

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        time.sleep(0.3)
        return super()._encode(clips, num_codebooks)


class HatesLoud(EnergyTokenizer):
    """Cannot take a batch with a full-scale sample in it, and remembers the batches it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        self.batches.append([len(c) for c in clips])
        if any(np.abs(c).max() > 0.99 for c in clips):
            raise RuntimeError("too\n loud")
        return super()._encode(clips, num_codebooks)


def wave(seconds: float, rate: int, seed: int) -> np.ndarray:
    t = np.arange(max(1, round(seconds * rate))) / rate
    tone = np.sin(2 * np.pi * (100 + 40 * seed) * t) * np.abs(np.sin(3 * t + seed))
    noise = np.random.default_rng(seed).normal(size=len(t))
    return (0.4 * tone + 0.01 * noise).astype(np.float32)


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Ten files of unequal lengths, rates and kinds; a0 is the longest."""
    folder = tmp_path / "audio"
    (folder / "sub").mkdir(parents=True)
    for i, seconds in enumerate([3.0, 0.4, 0.0, 1.1, 0.02, 2.0, 0.7, 0.7, 1.6, 0.3]):
        rate = (8000, 16000, 44100)[i % 3]
        name = ("a%d.wav", "sub/ä b%d.flac")[i % 2] % i
        soundfile.write(folder / name, wave(seconds, rate, i), rate)
    return folder


def run(audio: Path, out: Path, tokenizer: Tokenizer | None = None, **options: Any) -> TokenizeSummary:
    options = {"items_per_shard": 3, "batch_seconds": 2.0} | options
    return tokenize_corpus(read_corpus(audio), tokenizer or EnergyTokenizer(), out, **options)


def content(folder: Path) -> dict[str, bytes]:
    """All files but the timings."""
    files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    found = {name: path.read_bytes() for name, path in files.items()}
    stats = json.loads(found["stats.json"])
    del stats["run"]
    return found | {"stats.json": json.dumps(stats).encode()}


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


def spoil(audio: Path) -> None:
    (audio / "a2.wav").write_bytes(b"RIFFnothing")
    (audio / "sub/empty.wav").touch()
    (audio / "zz.mp3").write_text("not audio")
    soundfile.write(audio / "nan.wav", np.array([0.1, np.nan, 0.2]), 8000, subtype="FLOAT")
    soundfile.write(audio / "none.wav", np.zeros(0), 8000)


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


@pytest.mark.parametrize("format", ["parquet", "jsonl", "fairseq"])
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(audio: Path, tmp_path: Path, format: str) -> None:
    spoil(audio)
    options: dict[str, Any] = {"format": format, "flatten": format == "fairseq", "batch_seconds": 0.1}
    whole = run(audio, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run(audio, tmp_path / "s", StoppedAfter(6), **options)
    with pytest.raises(FormatError, match="not finished"):
        open_store(tmp_path / "s")
    (tmp_path / "s/shards/.00001.1.tmp.parquet").touch()  # as a process killed while writing leaves it
    made = sorted((tmp_path / "s/.work").glob("0*.json"))
    assert 1 <= len(made) < whole.stats["items"]
    # A shard whose content is not what was written is made again.
    victim = next((tmp_path / "s/shards").iterdir())
    victim.write_bytes(victim.read_bytes()[:-1])
    again = run(audio, tmp_path / "s", **options)
    assert again.resumed_shards == len(made) - 1
    assert content(tmp_path / "s") == content(tmp_path / "whole")


def test_a_killed_process_goes_on(audio: Path, tmp_path: Path) -> None:
    run(audio, tmp_path / "whole")
    code = """
        import sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        from test_pipeline import Slow, run
        run(Path(sys.argv[2]), Path(sys.argv[3]), Slow())
    """
    arguments = [str(Path(__file__).parent), str(audio), str(tmp_path / "s")]
    environment = {**os.environ, "PYTHONPATH": str(Path(codectok.corpus.plan.__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *arguments], env=environment)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "s/.work/00001.json").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "s/store.json").exists()
    assert run(audio, tmp_path / "s").resumed_shards >= 2
    assert content(tmp_path / "s") == content(tmp_path / "whole")


def test_a_finished_store_is_left_alone(audio: Path, tmp_path: Path) -> None:
    first = run(audio, tmp_path / "s")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*")}
    second = run(audio, tmp_path / "s", StoppedAfter(0))
    assert second.resumed_shards == 4
    assert second.stats == first.stats
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*")}


@pytest.mark.parametrize("finished", [True, False])
def test_another_job_in_the_same_folder_is_refused(audio: Path, tmp_path: Path, finished: bool) -> None:
    if finished:
        run(audio, tmp_path / "s")
    else:
        with pytest.raises(KeyboardInterrupt):
            run(audio, tmp_path / "s", StoppedAfter(4))
    other = EnergyTokenizer()
    other.fingerprint = "other"
    with pytest.raises(FingerprintError, match=r"delete .*--overwrite.* or choose another"):
        run(audio, tmp_path / "s", other)
    for options in (
        {"dedup": True},
        {"num_codebooks": 1},
        {"items_per_shard": 4},
        {"format": "jsonl"},
        {"batch_seconds": 3},
    ):
        with pytest.raises(FormatError, match=r"other options .*delete .* or choose another"):
            run(audio, tmp_path / "s", **options)
    (audio / "a0.wav").rename(audio / "new.wav")
    with pytest.raises(FormatError, match=r"corpus has changed .*delete .* or choose another"):
        run(audio, tmp_path / "s")
    assert run(audio, tmp_path / "s", overwrite=True).resumed_shards == 0
    assert "new" in open_store(tmp_path / "s")


def test_a_corpus_that_changes_meanwhile_is_refused(
    audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan_and_add(corpus: Corpus) -> Scan:
        found = scan(corpus)
        soundfile.write(audio / "sub/zz.wav", wave(0.1, 8000, 0), 8000)
        return found

    scan = Corpus.scan
    monkeypatch.setattr(Corpus, "scan", scan_and_add)
    with pytest.raises(FormatError, match="changed while it was read"):
        run(audio, tmp_path / "s")


def invoke(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> Result:
    monkeypatch.setattr("codectok.opening.open_named", lambda name, device="cpu": EnergyTokenizer())
    return CliRunner().invoke(tokenize, [str(a) for a in arguments])


def test_command_all_good(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = invoke(monkeypatch, audio, "-o", tmp_path / "s", "--codebooks", 1, "--dedup", "--format", "jsonl")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert f"wrote {tmp_path / 's'}" in result.stdout
    assert "x real time" in result.stdout
    assert open_store(tmp_path / "s").info.codebook_sizes == (16,)


def test_command_with_bad_files(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(audio)
    for i in range(20):
        (audio / f"bad{i:02}.wav").touch()
    result = invoke(monkeypatch, audio, "-o", tmp_path / "s", "--json", "--shard-size", 4, "--workers", 2)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0].startswith("failed: a2: AudioError: ")
    assert len(lines) == 21
    assert lines[-1] == f"failed: 5 more, see {tmp_path / 's' / 'errors.jsonl'}"
    figures = json.loads(result.stdout)
    assert (figures["items"], figures["failed"]) == (9, 25)
    assert figures["bitrate_kbps"] == pytest.approx(0.7)


def test_command_usage_errors(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "used").mkdir()
    (tmp_path / "used/file").touch()
    out = tmp_path / "s"
    for arguments, message in (
        ([tmp_path / "gone", "-o", out], "there is no corpus"),
        ([tmp_path / "nothing", "-o", out], "no audio files"),
        ([audio, "-o", out, "--codebooks", 3], "has 2 codebooks"),
        ([audio, "-o", out, "--format", "fairseq"], "--codebooks 1"),
        ([audio, "-o", tmp_path / "used"], "choose another folder"),
    ):
        result = invoke(monkeypatch, *arguments)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not out.exists()


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

"""Long files cut into pieces: exact times, nothing lost, nothing twice."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from codectok.audio import read_audio
from codectok.cli.main import main
from codectok.corpus.segment import equal_parts, segment_corpus, speech_parts
from codectok.corpus.voice import FRAME, RATE, VoicedStretch, stretches
from codectok.errors import CodectokError
from codectok.items.clips import read_clip
from codectok.items.corpus import read_corpus


def noise(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * rate)).astype(np.float32)


def loud(frame: np.ndarray) -> bool:
    return bool(np.abs(frame.astype(int)).max() > 1000)


@given(st.integers(0, 1000), st.integers(1, 5000), st.integers(1, 700))
def test_equal_parts_tile(start: int, length: int, longest: int) -> None:
    parts = list(equal_parts(start, start + length, longest))
    assert [a for a, _ in parts] + [start + length] == [start] + [b for _, b in parts]
    lengths = [b - a for a, b in parts]
    assert max(lengths) <= longest
    assert max(lengths) - min(lengths) <= 1
    assert len(parts) == -(-length // longest)


@pytest.mark.parametrize(("name", "rate"), [("a.wav", 16000), ("a.flac", 22050), ("a.wav", 44100), ("a.mp3", 24000)])
def test_pieces_join_to_the_file(tmp_path: Path, name: str, rate: int) -> None:
    soundfile.write(tmp_path / name, noise(7.3, rate), rate)
    cuts = segment_corpus(read_corpus(tmp_path), tmp_path / "cuts.jsonl", 1.7)
    corpus = read_corpus(tmp_path / "cuts.jsonl")
    corpus.scan()
    joined = np.concatenate([read_clip(item, rate) for item in corpus])
    np.testing.assert_array_equal(joined, read_audio(tmp_path / name)[0])
    assert (cuts.items, cuts.pieces, cuts.failed) == (1, 5, [])
    assert cuts.seconds == pytest.approx(cuts.kept_seconds)
    first, second, *_ = (json.loads(line) for line in (tmp_path / "cuts.jsonl").read_text().splitlines())
    assert first["path"] == name
    assert first["offset"] == 0
    assert second["id"] == f"a@{int(second['offset'] * 1000)}-{int((second['offset'] + second['duration']) * 1000)}"
    assert second["offset"] * rate == pytest.approx(round(second["offset"] * rate), abs=1e-6)


def test_segments_are_cut_again_within_their_bounds(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(5, 16000), 16000)
    (tmp_path / "m.jsonl").write_text('{"id": "u", "path": "a.wav", "offset": 1.25, "duration": 2.5}\n')
    segment_corpus(read_corpus(tmp_path / "m.jsonl"), tmp_path / "out/c.jsonl", 1.0)
    joined = np.concatenate([read_clip(item, 16000) for item in read_corpus(tmp_path / "out/c.jsonl")])
    np.testing.assert_array_equal(joined, read_audio(tmp_path / "a.wav")[0][20000:60000])


@pytest.mark.parametrize("rate", [16000, 44100, 8000])
def test_voice_activity_drops_silence_and_keeps_all_that_is_loud(tmp_path: Path, rate: int) -> None:
    parts = [(2.0, 0), (1.0, 1), (0.3, 0), (1.5, 1), (3.0, 0), (5.0, 1), (1.0, 0)]
    x = np.concatenate([noise(s, rate) * on for s, on in parts])
    soundfile.write(tmp_path / "a.wav", x, rate)
    cuts = segment_corpus(read_corpus(tmp_path), tmp_path / "c.jsonl", 2.0, lambda: loud)
    items = list(read_corpus(tmp_path / "c.jsonl"))
    kept = np.zeros(len(x), int)
    for item in items:
        assert item.offset is not None
        assert item.duration is not None
        assert item.duration <= 2.0
        kept[round(item.offset * rate) : round(item.offset * rate) + round(item.duration * rate)] += 1
    assert kept.max() == 1  # pieces never overlap
    assert kept[np.abs(x) > 0.05].min() == 1  # nothing loud is lost
    assert cuts.kept_seconds < 8.9 < cuts.seconds  # 7.5 s of noise, a pause of 0.3, padding
    # The first stretch is 2.8 s with a pause, and cut there; the second has none.
    edge = items[1].offset
    assert edge is not None
    assert 3.0 < edge < 3.3
    assert len(items) == 5


def test_the_longest_pause_within_reach_is_the_cut() -> None:
    second = RATE // FRAME  # frames, nearly
    stretch = VoicedStretch(
        10, 10 + 9 * second, [(2 * second, 2 * second + 5), (4 * second, 4 * second + 8), (7 * second, 7 * second + 9)]
    )
    parts = list(speech_parts(stretch, 5.0))
    assert parts[0][1] == (4 * second + 4) * FRAME
    assert all(b - a < 5 * RATE for a, b in parts)
    assert [b for _, b in parts[:-1]] == [a for a, _ in parts[1:]]


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 10))
def test_stretches_hold_every_speech_frame(frames: list[bool], gap: int) -> None:
    found = list(stretches(frames, gap * FRAME / RATE))
    held = [i for s in found for i in range(s.start, s.stop)]
    assert set(held) >= {i for i, speech in enumerate(frames) if speech}
    assert len(held) == len(set(held))
    silent = {i for s in found for a, b in s.pauses for i in range(a, b)}
    assert set(held) - silent == {i for i, speech in enumerate(frames) if speech}
    assert all(b - a < gap for s in found for a, b in s.pauses)
    assert all(b.start - a.stop >= gap for a, b in pairwise(found))


def test_webrtcvad_finds_a_voice(tmp_path: Path) -> None:
    pytest.importorskip("webrtcvad")
    t = np.arange(2 * 16000) / 16000
    pitch = 2 * np.pi * 120 * t + 3 * np.sin(2 * np.pi * 3 * t)
    voice = sum(np.sin(k * pitch) / k for k in range(1, 25)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t)) * 0.2
    quiet = np.random.default_rng(0).normal(0, 1e-4, 3 * 16000)
    soundfile.write(tmp_path / "a.wav", np.concatenate([quiet, voice, quiet]), 16000)
    result = CliRunner().invoke(
        main, ["corpus", "segment", str(tmp_path), "-o", str(tmp_path / "c.jsonl"), "--max", "30", "--vad"]
    )
    assert result.exit_code == 0, result.output
    (item,) = read_corpus(tmp_path / "c.jsonl")
    assert item.offset is not None
    assert item.duration is not None
    assert 2.5 < item.offset <= 3.0
    assert 5.0 <= item.offset + item.duration < 5.8


def test_failures_are_listed_and_nothing_is_half_written(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(1, 8000), 8000)
    (tmp_path / "b.wav").touch()
    out = tmp_path / "o/c.jsonl"
    result = CliRunner().invoke(main, ["corpus", "segment", str(tmp_path), "-o", str(out), "--max", "0.5"])
    assert result.exit_code == 1
    assert "failed: b: " in result.output
    assert len(out.read_text().splitlines()) == 2
    out.unlink()
    (tmp_path / "a.wav").unlink()
    with pytest.raises(CodectokError, match=r"no piece could be cut .*empty file"):
        segment_corpus(read_corpus(tmp_path), out, 0.5)
    assert list(out.parent.iterdir()) == []
    for seconds in (0.0, float("nan"), float("inf")):
        with pytest.raises(CodectokError, match="no use"):
            segment_corpus(read_corpus(tmp_path), out, seconds)
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    (tmp_path / "b.wav").unlink()
    with pytest.raises(CodectokError, match="no speech was found"):
        segment_corpus(read_corpus(tmp_path), out, 0.5, lambda: loud)

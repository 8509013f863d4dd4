"""The validation table: means of what could be scored, per bitrate, for any codec."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codectok import CodectokError
from codectok.codec.harmonic import HarmonicCodec, HarmonicCodecConfig
from codectok.codec.model import CodecModel
from codectok.metrics.registry import compute, get_metric
from train_codec.data import ClipArray, ClipSpan
from train_codec.validate import METRICS, format_table, validate


@pytest.fixture(scope="module")
def model() -> CodecModel:
    torch.manual_seed(0)
    shape = {"dim": 32, "depth": 1, "code_dim": 32, "parts": [1, 1, 2, 4], "part_dims": [8, 2, 16, 16]}
    return HarmonicCodec(HarmonicCodecConfig(**shape, codebook_sizes=[16] * 8, mels=32))


def array(parts: list[np.ndarray]) -> ClipArray:
    starts = np.cumsum([0, *(len(p) for p in parts[:-1])])
    clips = [ClipSpan(str(i), int(s), len(p)) for i, (s, p) in enumerate(zip(starts, parts, strict=True))]
    return ClipArray((np.concatenate(parts) * 32768).astype(np.int16), clips, 16000)


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """Harmonics under a syllable rhythm: enough of a voice for PESQ and STOI."""
    t = np.arange(round(seconds * 16000)) / 16000
    pitch = 120 + 10 * seed
    tone = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 20))
    return 0.1 * tone * (0.55 - 0.45 * np.cos(2 * np.pi * 4 * t)) + 0.001 * np.random.default_rng(seed).standard_normal(
        len(t)
    )


def test_means_per_bitrate(model: CodecModel) -> None:
    clips = array([voice(1.0, i) for i in range(2)])
    scores = validate(model, clips, 2)
    expected = {f"{m}_{k}" for k in (2, 8) for m in (*METRICS, "used", "kbps", "n")}
    assert set(scores) == expected
    assert scores["kbps_2"] == pytest.approx(0.2)  # 25 frames a second of 2 codes of 4 bits
    assert scores["n_8"] == 2
    from codectok.codec.tokenizer import CodecTokenizer

    tok = CodecTokenizer(model, "x", "")
    for depth in (2, 8):
        found = []
        for clip in clips.clips:
            audio = clips.read(clip)
            decoded = tok.decode(tok.encode(audio, 16000, num_codebooks=depth))
            found.append(compute(METRICS, audio, decoded, 16000)[0])
        for metric in METRICS:
            values = [f[metric] for f in found]
            middle = np.median(values) if get_metric(metric).signed else np.mean(values)
            assert scores[f"{metric}_{depth}"] == pytest.approx(middle, abs=1e-4)


def test_a_failure_is_counted_and_not_averaged_in(model: CodecModel) -> None:
    voices = [voice(1.0, i) for i in range(2)]
    with_silence = validate(model, array([voices[0], np.zeros(16000), voices[1]]), 3, [8])
    without = validate(model, array(voices), 2, [8])
    assert with_silence["failed_pesq_8"] == with_silence["failed_stoi_8"] == 1
    assert with_silence["pesq_8"] == without["pesq_8"]
    assert "failed_pesq_8" not in without
    table = format_table(with_silence).splitlines()
    assert "(2/3)" in table[1]


def test_where_every_clip_fails_there_is_no_score(model: CodecModel) -> None:
    scores = validate(model, array([np.zeros(8000)]), 1, [8])
    assert "pesq_8" not in scores
    assert scores["failed_pesq_8"] == 1
    assert "- (0/1)" in format_table(scores)


def test_the_table_is_aligned(model: CodecModel) -> None:
    scores = {"pesq_6": 1.234, "stoi_6": 0.8123, "mel_6": 5.0, "used_6": 99.5, "kbps_6": 1.5, "n_6": 24.0}
    scores |= {k.replace("6", "24"): v for k, v in scores.items()} | {"kbps_24": 6.0}
    lines = format_table(scores).splitlines()
    assert lines[0].split() == [
        "codebooks",
        "kbit/s",
        "PESQ",
        "MOS",
        "STOI",
        "mel",
        "distance",
        "dB",
        "codes",
        "used",
        "n",
    ]
    assert lines[1].split() == ["6", "1.5", "1.23", "0.812", "5.00", "99.5", "24"]
    assert lines[2].split()[:2] == ["24", "6"]
    assert len({len(line) for line in lines}) == 1


def test_octaves_share_a_column_and_signed_errors_have_a_sign() -> None:
    scores = {"level_6": 12.34, "kbps_6": 1.5, "n_6": 4.0, "used_6": 9.0}
    scores |= {f"octave_{low}_6": low / 1000 - 1 for low in (100, 200, 400, 800, 1600, 3200)}
    head, line = format_table(scores).splitlines()
    assert head.split()[2:6] == ["level", "dB", "octaves", "100-6400"]
    assert line.split() == ["6", "1.5", "+12.3", "-0.9", "-0.8", "-0.6", "-0.2", "+0.6", "+2.2", "9", "4"]


def test_clips_are_spread_evenly_and_the_mode_is_kept(model: CodecModel, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = array([np.full(400, (i + 1) / 100) for i in range(19)])
    seen: list[int] = []

    def score(tokenizer: object, audio: list[np.ndarray], *args: object) -> object:
        assert not model.training
        seen[:] = [round(float(a[0]) * 100) - 1 for a in audio]
        raise CodectokError("stop")

    monkeypatch.setattr("train_codec.validate.score_reconstruction", score)
    for training in (True, False):
        model.train(training)
        with pytest.raises(CodectokError, match="stop"):
            validate(model, clips, 10)
        assert model.training is training
    assert seen == [0, 1, 3, 5, 7, 9, 11, 13, 15, 17]
    with pytest.raises(CodectokError, match="stop"):
        validate(model, clips, 99)
    assert seen == list(range(19))
    with pytest.raises(CodectokError, match="no clips"):
        validate(model, clips, 0)

"""Reading clips: stretches, levels of mixtures, targets that fit them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.contract import RATE, Clip, Mix
from benchmarks.datasets import read_clip, read_targets
from codectok.errors import AudioError
from tests.benchmarks.trees import voice, write


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return Clip("a", str(write(tmp_path / "a.wav", voice(1, seconds=1.0))), "one")


@pytest.fixture
def other(tmp_path: Path) -> str:
    return str(write(tmp_path / "b.wav", voice(5, seconds=0.7)))


def power(x: np.ndarray) -> float:
    return float(np.mean(np.square(x, dtype=np.float64)))


def test_a_clip_is_its_file_and_its_own_target(clip: Clip) -> None:
    x = read_clip(clip)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, soundfile.read(clip.path, dtype="float32")[0])
    (target,) = read_targets(clip)
    np.testing.assert_array_equal(target, x)


def test_a_stretch_is_cut_and_other_rates_are_resampled(tmp_path: Path) -> None:
    ramp = np.linspace(-0.5, 0.5, 96000, dtype=np.float32)
    path = str(write(tmp_path / "r.wav", ramp, 48000))
    x = read_clip(Clip("r", path, "s", offset=0.5, duration=0.25))
    assert len(x) == RATE // 4
    np.testing.assert_allclose(
        x[100:-100], np.interp(0.5 + np.arange(len(x)) / RATE, [0, 2], [-0.5, 0.5])[100:-100], atol=1e-3
    )
    assert len(read_clip(Clip("r", path, "s", offset=1.5))) == RATE // 2
    with pytest.raises(AudioError, match=r"no samples at 3\.00 s"):
        read_clip(Clip("r", path, "s", offset=3.0, duration=1.0))


@pytest.mark.parametrize("snr", [-3.0, 0.0, 7.5])
@pytest.mark.parametrize("kind", ["white", "babble", "speaker"])
def test_a_mixture_has_the_level_that_it_names(clip: Clip, other: str, kind: str, snr: float) -> None:
    mixed = replace(clip, mix=Mix(kind, snr, other="" if kind == "white" else other, seed=3))  # type: ignore[arg-type]
    x, targets = read_clip(mixed), read_targets(mixed)
    assert len(targets) == (2 if kind == "speaker" else 1)
    assert {len(t) for t in targets} == {len(x)}
    assert x.dtype == targets[0].dtype == np.float32
    assert 10 * np.log10(power(targets[0]) / power(x - targets[0])) == pytest.approx(snr, abs=0.01)
    assert np.abs(x).max() <= 1.0
    if kind == "speaker":
        np.testing.assert_allclose(x, targets[0] + targets[1], atol=1e-6)
        assert len(x) == round(0.7 * RATE)
    for part, path in zip(targets, (clip.path, other), strict=False):  # clean, but for one gain
        clean = soundfile.read(path, dtype="float32")[0][: len(part)]
        assert np.corrcoef(part, clean)[0, 1] > 0.9999


def test_noise_is_the_same_each_time_and_other_with_another_seed(clip: Clip, other: str) -> None:
    for kind in ("white", "babble"):
        one, two = (replace(clip, mix=Mix(kind, 0.0, other=other, seed=seed)) for seed in (1, 2))  # type: ignore[arg-type]
        np.testing.assert_array_equal(read_clip(one), read_clip(one))
        assert np.abs(read_clip(one) - read_clip(two)).max() > 0.01


def test_babble_is_of_every_voice_named_at_one_level(clip: Clip, tmp_path: Path) -> None:
    t = np.arange(RATE) / RATE
    voices = {500: 0.1, 3000: 0.4}
    paths = [str(write(tmp_path / f"{f}.wav", a * np.sin(2 * np.pi * f * t))) for f, a in voices.items()]
    mixed = replace(clip, mix=Mix("babble", 0.0, other="\n".join(paths), seed=1))
    spectrum = np.abs(np.fft.rfft(read_clip(mixed) - read_targets(mixed)[0]))
    low, high = (spectrum[f] for f in voices)
    assert high == pytest.approx(low, rel=0.05)
    assert low > 100 * np.median(spectrum)


def test_a_loud_mixture_is_scaled_with_its_targets(tmp_path: Path) -> None:
    loud = Clip("l", str(write(tmp_path / "l.wav", np.full(1600, 0.9, np.float32))), "s", mix=Mix("white", 0.0, seed=1))
    x, (target,) = read_clip(loud), read_targets(loud)
    assert np.abs(x).max() == pytest.approx(0.99, abs=1e-4)
    assert np.ptp(target) < 1e-6
    assert 0.1 < target[0] < 0.5


def test_target_files_are_fitted_to_the_clip(clip: Clip, other: str, tmp_path: Path) -> None:
    longer = str(write(tmp_path / "long.wav", voice(3, seconds=1.4)))
    first, second = read_targets(replace(clip, targets=(other, longer)))
    assert len(first) == len(second) == len(read_clip(clip))
    assert not first[round(0.7 * RATE) :].any()


def test_silence_has_no_level_to_mix_at(tmp_path: Path) -> None:
    silent = Clip("z", str(write(tmp_path / "z.wav", np.zeros(1600, np.float32))), "s", mix=Mix("white", 0.0))
    with pytest.raises(AudioError, match="silent"):
        read_clip(silent)

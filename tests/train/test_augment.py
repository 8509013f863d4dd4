"""Augmentations: each does to the samples what it says, and is a pure function of them and the generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok import CodectokError
from codectok.settings.build import build_from
from train_codec.augment import Augment, Augmenter
from train_codec.augment.bandwidth import lowpass
from train_codec.augment.gain import CEILING, flip, gain
from train_codec.augment.noise import add_noise, coloured_noise, recorded_noise
from train_codec.augment.reverb import recorded_room, reverb, synthetic_room
from train_codec.augment.speed import change_speed, draw_speed
from train_codec.data import ClipArray, ClipSpan

RATE = 16000
EVERYTHING = {f"{name}_prob": 1.0 for name in ("speed", "reverb", "noise", "lowpass", "gain", "polarity")}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def speech(n: int = 20480, seed: int = 0) -> np.ndarray:
    """Noise bursts at speech level."""
    envelope = np.repeat(rng(seed).uniform(0, 1, n // 320 + 1) ** 2, 320)[:n]
    return (0.1 * envelope * rng(seed).standard_normal(n)).astype(np.float32)


def db(x: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(x, dtype=np.float64))))


def test_nothing_is_done_by_default() -> None:
    audio = speech()
    augmenter = Augmenter(Augment(), RATE)
    assert augmenter.speed(rng()) == 1.0
    assert np.array_equal(augmenter(audio, rng()), audio)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 5000))
def test_everything_at_once_is_pure_finite_and_in_range(seed: int, n: int) -> None:
    augmenter = Augmenter(Augment(**EVERYTHING, reverb_rt60_max=0.2), RATE)
    audio = speech(n, seed)
    before = audio.copy()
    results = []
    for _ in range(2):
        r = rng(seed)
        results.append(augmenter(audio, r, augmenter.speed(r)))
    assert np.array_equal(audio, before)
    assert np.array_equal(*results)
    out = results[0]
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1.0
    assert n / 1.1 <= len(out) <= n / 0.9 + 1


def test_silence_stays_silence() -> None:
    augmenter = Augmenter(Augment(**EVERYTHING), RATE)
    assert not augmenter(np.zeros(4000, np.float32), rng()).any()


def test_a_probability_is_a_share_of_the_crops() -> None:
    augmenter = Augmenter(Augment(polarity_prob=0.3), RATE)
    one = np.ones(1, np.float32)
    r = rng()
    assert np.mean([augmenter(one, r)[0] < 0 for _ in range(4000)]) == pytest.approx(0.3, abs=0.03)


def test_gain_is_even_in_db_and_never_clips() -> None:
    audio = speech()
    r = rng()
    changes = [db(gain(audio, r, -12, 4)) - db(audio) for _ in range(1000)]
    assert min(changes) == pytest.approx(-12, abs=0.3)
    assert max(changes) == pytest.approx(4, abs=0.3)
    assert np.mean(changes) == pytest.approx(-4, abs=0.6)
    loud = audio / np.abs(audio).max()
    assert max(np.abs(gain(loud, rng(i), 0, 20)).max() for i in range(20)) == pytest.approx(CEILING)
    assert np.array_equal(flip(audio), -audio)


@given(snr=st.floats(-5, 40), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_noise_is_added_at_its_ratio(snr: float, seed: int) -> None:
    audio = speech(seed=seed)
    noisy = add_noise(audio, coloured_noise(len(audio), 1.0, rng(seed)), snr)
    assert db(audio) - db((noisy - audio).astype(np.float64)) == pytest.approx(snr, abs=0.1)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_noise_has_its_colour(exponent: float) -> None:
    n = 1 << 17
    power = np.abs(np.fft.rfft(coloured_noise(n, exponent, rng()))) ** 2
    low, high = (float(power[band * n // RATE : 2 * band * n // RATE].mean()) for band in (250, 2000))
    assert 10 * np.log10(low / high) / 3 == pytest.approx(3.01 * exponent, abs=0.15)  # dB an octave


def test_recorded_noise_comes_from_the_recordings_and_is_repeated_if_short() -> None:
    data = np.arange(1, 301, dtype=np.int16)
    clips = ClipArray(data, [ClipSpan("a", 0, 100), ClipSpan("b", 100, 200)], RATE)
    got = np.round(recorded_noise(50, clips, rng()) * 32768)
    assert np.array_equal(np.diff(got), np.ones(49))
    long = np.round(recorded_noise(450, clips, rng()) * 32768)
    assert np.array_equal(
        long[:100], long[-50:] if len(set(long)) == 50 else long[len(set(long)) : len(set(long)) + 100]
    )
    firsts = {round(float(recorded_noise(200, clips, rng(i))[0] * 32768)) for i in range(20)}
    assert firsts == {1, 101}


@pytest.mark.parametrize("rt60", [0.15, 0.5])
def test_a_room_decays_by_60_db_in_its_rt60(rt60: float) -> None:
    room = synthetic_room(rng(), rt60, 3.0, RATE).astype(np.float64)
    assert room[0] == 1.0
    assert 10 * np.log10(1 / np.sum(room[1:] ** 2)) == pytest.approx(3.0, abs=0.01)
    # Schroeder's backward integral from -5 to -25 dB, extrapolated: the usual measurement (T20).
    tail = 10 * np.log10(np.cumsum(room[:0:-1] ** 2)[::-1] / np.sum(room[1:] ** 2))
    first, last = (int(np.argmax(tail < level)) for level in (-5, -25))
    assert 3 * (last - first) / RATE == pytest.approx(rt60, rel=0.12)


def test_reverb_is_convolution_at_the_same_level_without_delay() -> None:
    audio = speech(3000)
    room = synthetic_room(rng(), 0.1, 6.0, RATE)
    wet = reverb(audio, room)
    slow = np.convolve(audio.astype(np.float64), room)[: len(audio)]
    slow *= np.sqrt(np.sum(audio.astype(np.float64) ** 2) / np.sum(slow**2))
    assert np.abs(wet - slow).max() < 1e-5
    lag = np.argmax(np.correlate(wet, audio, "full")) - (len(audio) - 1)
    assert lag == 0


def test_a_recorded_room_starts_at_its_peak() -> None:
    assert recorded_room(np.array([0, 0.1, -1.0, 0.5])).tolist() == [-1.0, 0.5]


@pytest.mark.parametrize("cutoff", [3000.0, 5000.0])
def test_lowpass_keeps_below_and_removes_above(cutoff: float) -> None:
    n = 16000
    t = np.arange(n) / RATE
    for hz, kept in ((0.85 * cutoff, True), (1.02 * cutoff, False)):
        tone = (0.5 * np.sin(2 * np.pi * hz * t)).astype(np.float32)
        middle = slice(n // 4, 3 * n // 4)
        change = db(lowpass(tone, cutoff, RATE)[middle]) - db(tone[middle])
        assert (abs(change) < 0.05) if kept else (change < -60)
    click = np.zeros(n, np.float32)
    click[-1] = 1.0
    assert np.abs(lowpass(click, cutoff, RATE)[: n // 2]).max() < 1e-4  # the end does not come round to the start
    assert np.array_equal(lowpass(click, 8000.0, RATE), click)


def test_fast_sizes_are_enough_and_not_much_more() -> None:
    from train_codec.augment.fft import fast_size

    assert all(n <= fast_size(n) <= max(4, 1.34 * n) for n in range(1, 5000))
    assert fast_size(20480) == 20480


def test_speed_moves_the_pitch() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / RATE).astype(np.float32)
    fast = change_speed(tone, 1.1)
    assert len(fast) == -(-16000 * 100 // 110)
    spectrum = np.abs(np.fft.rfft(fast * np.hanning(len(fast))))
    assert np.argmax(spectrum) * RATE / len(fast) == pytest.approx(1100, abs=2)
    factors = {draw_speed(rng(i), 0.9, 1.1) for i in range(400)}
    assert min(factors) == 0.9
    assert max(factors) == 1.1
    assert len(factors) == 21


def test_folders_of_noise_and_rooms(tmp_path: Path) -> None:
    for name, seconds in (("noise", 0.5), ("rooms", 0.1)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "a.wav", 0.3 * rng().standard_normal(int(seconds * RATE)).clip(-3, 3), RATE)
    changes = {"noise_folder": str(tmp_path / "noise"), "reverb_folder": str(tmp_path / "rooms")}
    augmenter = Augmenter.open(Augment(noise_prob=1, reverb_prob=1, **changes), RATE, tmp_path / "cache")  # type: ignore[arg-type]
    assert augmenter.noise is not None
    assert augmenter.rooms is not None
    audio = speech()
    assert not np.allclose(augmenter(audio, rng()), audio, atol=1e-3)
    unused = Augmenter.open(Augment(noise_folder="/nowhere"), RATE, tmp_path / "cache")
    assert unused.noise is None


@pytest.mark.parametrize(
    "change",
    [{"noise_prob": 1.5}, {"speed_min": 1.2}, {"lowpass_hz_min": 0.0}, {"reverb_rt60_min": 0.0}, {"speed_min": 0.0}],
)
def test_a_wrong_value_is_named(change: dict[str, float]) -> None:
    with pytest.raises(CodectokError, match=next(iter(change))):
        build_from(Augment, change, "recipe")

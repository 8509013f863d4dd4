"""Robustness: disturbances do what they say, frames are compared with the right frames, edits are edits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.metrics import MetricError
from codectok.metrics.robustness import (
    DISTURBANCES,
    dedup,
    edits,
    gain,
    noise,
    resampling,
    robustness,
    same_frames,
    speed,
)
from codectok.tokenizer import Tokenizer

RATE = 16000


class Loudness(Tokenizer):
    """The level of each 20 ms in steps of 6 dB below full scale; and whether it is above -12 dB."""

    name, sample_rate, frame_rate, fingerprint, feature_dim = "loudness", RATE, Fraction(50), "loudness", 1
    codebook_sizes = (16, 2)

    def num_frames(self, num_samples):
        return -(-num_samples // 320)

    def _encode(self, clips, num_codebooks):
        return [self._levels(c)[:num_codebooks] for c in clips]

    def _levels(self, clip):
        frames = np.pad(clip, (0, -len(clip) % 320)).reshape(-1, 320)
        level = np.clip(-20 * np.log10(np.sqrt((frames**2).mean(1)) + 1e-9) / 6, 0, 15).astype(np.int64)
        return torch.from_numpy(np.stack([level, (level < 2).astype(np.int64)]))

    def _features(self, clips):
        return [torch.zeros(self.num_frames(len(c)), 1) for c in clips]


def steps(seconds: float = 1.0) -> np.ndarray:
    """A tone whose loudness changes every 100 ms."""
    t = np.arange(round(seconds * RATE)) / RATE
    return (np.sin(2 * np.pi * 400 * t) * 10 ** (-(3.1 + 6 * ((10 * t).astype(int) % 5)) / 20)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_edits_are_levenshteins(first: list[int], second: list[int]) -> None:
    table = [[i + j if not i * j else 0 for j in range(len(second) + 1)] for i in range(len(first) + 1)]
    for i, a in enumerate(first, 1):
        for j, b in enumerate(second, 1):
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (a != b))
    assert edits(np.array(first, dtype=int), np.array(second, dtype=int)) == table[-1][-1]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([Fraction(1), Fraction(9, 10), Fraction(11, 10)]))
def test_frames_map_to_where_their_middle_comes_from(frames: int, original: int, factor: Fraction) -> None:
    expected = [min(int((t + Fraction(1, 2)) * factor), original - 1) for t in range(frames)]
    assert same_frames(frames, original, factor).tolist() == expected
    if factor == 1 and frames <= original:
        assert expected == list(range(frames))


def test_dedup() -> None:
    assert dedup(np.array([1, 1, 2, 2, 1])).tolist() == [1, 2, 1]
    assert dedup(np.array([], dtype=int)).tolist() == []


def test_disturbances_do_what_they_say() -> None:
    x, rng = steps(), np.random.default_rng(0)
    added = noise(10).apply(x, RATE, rng) - x
    assert 10 * np.log10((x**2).mean() / (added**2).mean()) == pytest.approx(10, abs=0.1)
    np.testing.assert_allclose(gain(-6).apply(x, RATE, rng), x * 0.501187, rtol=1e-5)
    faster = speed(Fraction(11, 10)).apply(x, RATE, rng)
    assert len(faster) == -(-len(x) * 10 // 11)
    spectrum = np.abs(np.fft.rfft(faster))
    assert spectrum.argmax() * RATE / len(faster) == pytest.approx(440, abs=2)
    t = np.arange(RATE) / RATE
    both = np.sin(2 * np.pi * 1000 * t) + np.sin(2 * np.pi * 6000 * t)
    narrow = np.abs(np.fft.rfft(resampling(8000).apply(both.astype(np.float32), RATE, rng)))
    assert narrow.shape == (RATE // 2 + 1,)
    assert narrow[6000] < 1e-3 * narrow[1000]
    with pytest.raises(MetricError, match="whole number"):
        speed(Fraction(11, 10)).apply(x, 11025, rng)


def test_a_tokenizer_of_loudness_minds_gain_and_not_speed() -> None:
    found = robustness(
        Loudness(), [(steps(), RATE)], [gain(0), gain(-6), gain(-0.1), speed(Fraction(9, 10))], num_codebooks=2
    )
    assert [(c.changed, c.edit_distance) for c in found["gain +0 dB"]] == [(0, 0), (0, 0)]
    assert found["gain -6 dB"][0].changed == 1
    assert found["gain -6 dB"][0].edit_distance == pytest.approx(3 / 10)  # 01234 01234 to 12345 12345
    assert found["gain -6 dB"][1].changed == pytest.approx(0.2)
    slow = found["speed 0.9"]
    assert slow[0].frames == 56
    assert slow[0].changed < 0.2  # frames at steps only
    assert slow[0].edit_distance < found["gain -6 dB"][0].edit_distance * 6


def test_all_clips_count_by_their_frames_and_draws_are_seeded() -> None:
    clips = [(steps(1.0), RATE), (np.zeros(3 * RATE, np.float32), RATE)]
    found = robustness(Loudness(), clips, [gain(-6)])["gain -6 dB"][0]
    assert (found.changed, found.frames, found.clips) == (0.25, 200, 2)
    loud = robustness(Loudness(), clips[:1], DISTURBANCES)
    assert loud == robustness(Loudness(), clips[:1], DISTURBANCES)
    assert list(loud) == [d.name for d in DISTURBANCES]
    assert loud["noise 10 dB"][0].changed > 0
    with pytest.raises(MetricError, match="at least one clip"):
        robustness(Loudness(), [])

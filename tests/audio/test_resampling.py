"""Resampling: the same bytes however samples come, and rates that are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok import audio
from codectok.errors import AudioError
from tests.audio.making import noise, tone

RATES = (8000, 11025, 16000, 22050, 24000, 44100, 48000)


@given(
    samples=st.integers(1, 3000),
    rate=st.sampled_from(RATES),
    to=st.sampled_from(RATES),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_any_split_resamples_to_the_same_bytes(samples: int, rate: int, to: int, data: st.DataObject) -> None:
    x = noise(samples)
    cuts = sorted(data.draw(st.lists(st.integers(0, samples), max_size=12)))
    resampler = audio.Resampler(rate, to)
    parts = [resampler.push(part) for part in np.split(x, cuts)] + [resampler.flush()]
    whole = audio.resample(x, rate, to)
    assert len(whole) == math.ceil(samples * to / rate)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(("rate", "to"), [(48000, 16000), (16000, 24000), (44100, 24000)])
def test_one_sample_chunks_resample_to_the_same_bytes(rate: int, to: int) -> None:
    x = noise(5000)
    resampler = audio.Resampler(rate, to)
    parts = [resampler.push(x[i : i + 1]) for i in range(len(x))] + [resampler.flush()]
    np.testing.assert_array_equal(np.concatenate(parts), audio.resample(x, rate, to))


def test_a_tone_stays_the_tone_to_its_last_sample() -> None:
    # 441 Hz at 44100 ends in the middle of an output sample: ceil needs one that soxr alone would leave out.
    x = tone(44101, 44100)
    y = audio.resample(x, 44100, 16000)
    assert len(y) == 16001
    np.testing.assert_allclose(y[500:-500], tone(16001, 16000)[500:-500], atol=2e-4)
    assert np.abs(y[-1]) > 0


def test_equal_rates_change_nothing() -> None:
    x = noise(10)
    assert audio.resample(x, 16000, 16000) is x


@pytest.mark.parametrize(("rate", "to"), [(1, 24000), (10_000_000, 8000), (0, 16000), (16000, None)])
def test_rates_too_far_apart_are_refused(rate: int, to: int) -> None:
    with pytest.raises(AudioError):
        audio.resample(noise(10), rate, to)

"""What counts as audio in memory: rates, shapes, kinds of numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codectok import audio
from codectok.errors import AudioError
from tests.audio.making import noise


@pytest.mark.parametrize("rate", [None, 0, -16000, 16000.5, float("nan"), float("inf"), "16000", True, 10**9, [16000]])
def test_bad_rates_are_refused_with_the_remedy(rate: object) -> None:
    with pytest.raises(AudioError, match="pass rate in Hz"):
        audio.check_rate(rate)


@pytest.mark.parametrize("rate", [16000, np.int32(16000), 16000.0, torch.tensor(16000)])
def test_whole_rates_are_ints(rate: object) -> None:
    assert audio.check_rate(rate) == 16000
    assert type(audio.check_rate(rate)) is int


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_must_be_finite_and_some(bad: float) -> None:
    with pytest.raises(AudioError, match="sample 2 is NaN or infinite"):
        audio.check_samples(np.array([0, 0.5, bad, bad], np.float32))
    with pytest.raises(AudioError, match="empty"):
        audio.check_samples(np.zeros(0, np.float32))


VALUES = [0.0, 0.5, -0.25]


@pytest.mark.parametrize(
    "given_audio",
    [VALUES, tuple(VALUES)]
    + [np.array(VALUES, kind) for kind in (np.float16, np.float32, np.float64)]
    + [torch.tensor(VALUES, dtype=kind) for kind in (torch.float16, torch.bfloat16, torch.float32, torch.float64)],
)
def test_mono_is_float32_of_any_kind(given_audio: object) -> None:
    mono = audio.as_mono(given_audio)  # type: ignore[arg-type]
    assert mono.dtype == np.float32
    np.testing.assert_array_equal(mono, VALUES)


def test_channels_are_mixed_by_their_mean() -> None:
    stereo = np.stack([noise(100), noise(100, 1)])
    np.testing.assert_allclose(audio.as_mono(stereo), stereo.mean(0), atol=1e-7)
    np.testing.assert_array_equal(audio.as_mono(torch.tensor(stereo, requires_grad=True)), audio.as_mono(stereo))
    np.testing.assert_array_equal(audio.as_mono(stereo[:1]), stereo[0])


@pytest.mark.parametrize(
    ("bad", "remedy"),
    [
        (np.zeros(5, np.int32), "scale"),
        ([1, 2, 3], "scale"),
        (np.zeros(5, bool), "scale"),
        (np.zeros(5, np.complex64), "scale"),
        (["a", "b"], "scale"),
        (np.zeros((16000, 2), np.float32), "audio.T"),
        (np.zeros((1, 2, 3), np.float32), "neither"),
        (np.zeros((0, 3), np.float32), "neither"),
        (np.float32(0.5), "neither"),
        ([[0.1, 0.2], [0.3]], "ragged"),
    ],
)
def test_what_is_not_audio_is_refused(bad: object, remedy: str) -> None:
    with pytest.raises(AudioError, match=remedy):
        audio.as_mono(bad)  # type: ignore[arg-type]

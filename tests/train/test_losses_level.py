"""Losses that hear level: against sums by hand, and that they notice what others forgive."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from codectok.errors import AudioError
from codectok.testing import voice
from train_codec.losses import LevelLosses, to_level

RATE = 16000


def speech(seconds: float = 1.28, count: int = 2) -> Tensor:
    return torch.from_numpy(np.stack([voice(round(seconds * RATE), RATE, seed) for seed in range(count)]))


def losses(predicted: Tensor, target: Tensor) -> dict[str, float]:
    return {k: float(v) for k, v in LevelLosses(RATE)(predicted, target).items()}


def test_equal_signals_cost_nothing() -> None:
    assert losses(speech(), speech()) == dict.fromkeys(("level", "bands", "excess", "over"), 0.0)
    silence = torch.zeros(1, RATE)
    assert losses(silence, silence) == dict.fromkeys(("level", "bands", "excess", "over"), 0.0)


def test_energies_of_frames_and_bands_add_up_to_the_signal() -> None:
    x = 0.1 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    energies = LevelLosses(RATE).energies(x)
    assert energies.shape == (1, 49, 8)  # below 100 Hz, six octaves, and all above
    assert float(energies.sum()) == pytest.approx(float(x[:, 320:-320].square().sum()), rel=0.05)


@pytest.mark.parametrize("db", [-6.0, 6.0, 20.0])
def test_one_gain_is_as_many_bels_in_every_term(db: float) -> None:
    x = 0.1 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))  # far above the floor in every frame
    got, amplitude = losses(x * 10 ** (db / 20), x), 10 ** (db / 20)
    assert got["level"] == pytest.approx(abs(db) / 10, rel=0.02)
    assert got["bands"] == pytest.approx(abs(db) / 10, rel=0.1)
    bands = 8  # with energy in them
    expected = bands * max(0.0, amplitude - 10 ** (4.5 / 20))
    assert got["excess"] == pytest.approx(expected, rel=0.15, abs=1e-6)
    assert got["over"] == pytest.approx(bands * max(0.0, db / 10 - 0.3), rel=0.15, abs=1e-6)


def test_a_burst_of_one_frame_costs_as_much_as_it_is_loud() -> None:
    x = speech()
    burst = torch.zeros_like(x)
    burst[:, 8000:8320] = torch.from_numpy(voice(320, RATE, 5))
    quiet, loud = (x + gain * burst for gain in (10, 100))
    ours = [losses(y, x)["excess"] for y in (quiet, loud)]
    assert ours[1] > 8 * ours[0]


def test_too_quiet_is_no_excess_and_a_band_in_the_wrong_place_is_no_right_level() -> None:
    x = speech()
    assert losses(0.5 * x, x)["excess"] == 0
    t = torch.arange(RATE) / RATE
    low, high = (0.1 * torch.sin(2 * math.pi * f * t)[None] for f in (150, 1200))
    assert losses(low, high)["level"] > 0.5  # the same energy, elsewhere


def test_levels_are_brought_to_one_by_one_gain() -> None:
    x = speech()
    predicted, target = to_level(2 * x, x, -20)
    assert target.square().mean(1).sqrt() == pytest.approx([0.1, 0.1], rel=1e-5)
    torch.testing.assert_close(predicted, 2 * target)
    assert float(to_level(x, torch.zeros_like(x), -20)[0].abs().max()) <= 100 * float(x.abs().max())


def test_gradients_are_finite_at_silence() -> None:
    p = torch.zeros(1, RATE, requires_grad=True)
    sum(LevelLosses(RATE)(p, speech(1, 1)).values()).backward()  # type: ignore[union-attr]
    assert p.grad is not None
    assert bool(p.grad.isfinite().all())


def test_too_short_a_crop_is_refused() -> None:
    with pytest.raises(AudioError, match="640"):
        LevelLosses(RATE)(torch.zeros(1, 320), torch.zeros(1, 320))

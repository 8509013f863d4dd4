"""The harmonic codec's source: closed forms against sums, and a phase that no cutting can shift."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from codectok.codec.harmonic.excitation import HIGHEST, Excitation, pulse_pair
from codectok.codec.harmonic.noise import noise_table
from codectok.codec.mdct import InverseMdct
from codectok.codec.state_trees import take_rows

close = torch.testing.assert_close
RATE, HOP, FRAME = 16000, 160, 320


def source(noise_frames: int = 31) -> Excitation:
    return Excitation(RATE, HOP, FRAME, noise_frames)


def melody(batch: int, frames: int, seed: int = 0) -> Tensor:
    """Pitches on the decoder's grid, some held, as of a constant code."""
    generator = torch.Generator().manual_seed(seed)
    f0 = 55 * 10 ** torch.rand(batch, frames, generator=generator, dtype=torch.float64)
    f0[:, frames // 2 :] = torch.where(torch.rand(batch, 1, generator=generator) < 0.5, 150.0, 160.0)
    return (f0 * 4096).round() / 4096


def in_chunks(excitation: Excitation, f0: Tensor, sizes: list[int]) -> tuple[list[Tensor], Any]:
    state, parts = None, []
    for piece in f0.split(sizes, 1):
        *out, state = excitation.step(piece, state)
        parts.append(out)
    return [torch.cat(p, 1) for p in zip(*parts, strict=True)], state


@pytest.mark.parametrize("count", [1, 13, 136])
def test_closed_forms_are_the_sums_of_harmonics(count: int) -> None:
    on_the_pulse = 0.5 + torch.tensor([0, 1e-12, -1e-12, 1e-5, -1e-5, 3e-5, -3e-5, 4e-5, 1e-4], dtype=torch.float64)
    phase = torch.cat([torch.arange(997, dtype=torch.float64) / 997, on_the_pulse])[None]
    pulse, quadrature = pulse_pair(phase, torch.full_like(phase, count).float())
    theta = 2 * math.pi * (phase - 0.5)
    h = torch.arange(1, count + 1, dtype=torch.float64)[:, None]
    expected = math.sqrt(2 / count)
    close(pulse.double(), expected * torch.cos(h * theta).sum(0, keepdim=True), rtol=0, atol=2e-3)
    close(quadrature.double(), expected * torch.sin(h * theta).sum(0, keepdim=True), rtol=0, atol=2e-3)
    for wave in (pulse[:, :997], quadrature[:, :997]):
        assert float(wave.square().mean()) == pytest.approx(1, rel=1e-3)


def test_every_period_has_its_pulse() -> None:
    """Also where a pitch divides the sample rate, so that samples fall exactly on pulses."""
    f0 = torch.full((1, 200), 160.0, dtype=torch.float64)
    harmonic, *_ = source().step(f0, None)
    samples = InverseMdct(HOP).step(harmonic, None)[0][0, HOP:]
    periods = samples[: len(samples) // 100 * 100].view(-1, 100)[2:-2]
    assert (periods.amax(1) > 0.9 * periods.max()).all()


def test_phase_is_the_integral_of_the_gliding_pitch() -> None:
    f0 = melody(1, 30)
    *_, state = source().step(f0, None)
    phase, before = 0.0, float(f0[0, 0])
    for now in f0[0].tolist():
        for n in range(FRAME):
            phase += (before + (now - before) * min(1.0, (n + 1) / (FRAME // 2))) / RATE
        before = now
    assert float(state["cycles"]) / source().cycle == pytest.approx(phase % 1, abs=1e-9)


def test_harmonics_stay_below_half_the_rate() -> None:
    f0 = torch.full((1, 50), 251.7, dtype=torch.float64)
    harmonic, quadrature, *_ = source().step(f0, None)
    above = int((HIGHEST + 0.01) * 2 * HOP)
    for q in (harmonic, quadrature):
        assert q[:, 5:, above:].square().mean() < 1e-3 * q[:, 5:].square().mean()


def test_a_minute_in_any_pieces_has_the_same_phase() -> None:
    f0 = melody(2, 3000)
    excitation = source()
    *whole, state = excitation.step(f0, None)
    rng = np.random.default_rng(0)
    for sizes in ([1] * 100 + [2900], [100] * 30, (1 + rng.multinomial(3000 - 60, [1 / 60] * 60)).tolist()):
        cut, end = in_chunks(excitation, f0, sizes)
        for a, b in zip(cut, whole, strict=True):
            close(a, b, rtol=0, atol=1e-5)
        assert torch.equal(end["cycles"], state["cycles"]), "exact, so that an hour drifts no more than a second"
        assert torch.equal(end["at"], state["at"])


def test_states_come_apart_by_item() -> None:
    f0 = melody(3, 12)
    excitation = source()
    *_, state = excitation.step(f0[:, :7], excitation.start(3, torch.Generator().manual_seed(0)))
    *together, _ = excitation.step(f0[:, 7:], state)
    for i in range(3):
        *alone, _ = excitation.step(f0[i : i + 1, 7:], take_rows(state, [i]))
        for a, b in zip(alone, together, strict=True):
            close(a, b[i : i + 1], rtol=0, atol=1e-6)


def test_start_is_the_generators_or_zero() -> None:
    excitation, f0 = source(), melody(4, 5)
    drawn = [excitation.start(4, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert all(torch.equal(drawn[0][k], drawn[1][k]) for k in ("phase", "at"))
    assert len(drawn[0]["phase"].unique()) == 4
    for a, b in zip(excitation.step(f0, None)[:3], excitation.step(f0, excitation.start(4))[:3], strict=True):
        assert torch.equal(a, b)
    *_, noise, state = excitation.step(f0, drawn[0])
    rows = (drawn[0]["at"] + torch.arange(10)) % 31
    assert torch.equal(noise, excitation.table[rows])
    assert torch.equal(state["at"], (drawn[0]["at"] + 10) % 31)


def test_noise_goes_round_the_table() -> None:
    excitation = source(noise_frames=7)
    noise = excitation.step(melody(1, 9), None)[2][0]
    assert torch.equal(noise, excitation.table.repeat(3, 1)[:18])


def test_the_noise_is_this_one() -> None:
    """Released codecs were trained with it: the table may never change."""
    table = noise_table(997, 160)
    assert table.dtype == np.float32
    first = [0.49474135, 0.56807578, 2.6821003, 0.20870318]
    np.testing.assert_allclose(table[0, :4], first, rtol=1e-6)
    np.testing.assert_allclose(table[996, 156:], [1.816541, -0.29896712, 0.27867067, 0.51104832], rtol=1e-6)
    assert abs(table.mean()) < 0.01
    assert abs(table.std() - 1) < 0.01
    spectrum = np.abs(np.fft.rfft(table.ravel())) ** 2 / table.size
    assert spectrum[1:].max() < 20, "white: no line stands out"

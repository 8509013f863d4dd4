"""The envelope codec's parts: what each promises by itself. The contract and the quantizers' suite ask the rest."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from codectok.codec.envelope import EnvelopeCodec, EnvelopeCodecConfig
from codectok.codec.envelope.bands import erb_filters
from codectok.codec.envelope.pitch import PitchAnalysis, hertz_of, pitch_of, voicing_of
from codectok.codec.envelope.shaping import CORRECTION, ENERGY_LIMIT, KNEE, ROOM, band_gains, mix
from codectok.codec.envelope.source import Source
from codectok.codec.envelope.spectrum import BandSpectrum
from codectok.codec.envelope.transform import EnvelopeTransform
from codectok.codec.harmonic.excitation import GRID
from codectok.codec.limiter import limit
from codectok.errors import FormatError
from tests.contract.subjects import ENVELOPE, voice

HOP, RATE = 320, 16000
CONFIG = EnvelopeCodecConfig()


def padded(x: Tensor, hops: int = 1) -> Tensor:
    return torch.nn.functional.pad(x, (hops * HOP, 0))


def tone(hertz: float, seconds: float = 1.0, phase: float = 0.0, harmonics: int = 1) -> Tensor:
    t = torch.arange(round(seconds * RATE) // HOP * HOP) / RATE
    return sum(torch.sin(2 * math.pi * hertz * h * t + phase) / h for h in range(1, harmonics + 1))[None]  # type: ignore


def test_bands_share_out_every_bin() -> None:
    pool, spread = erb_filters(24, HOP, RATE)
    assert torch.allclose(pool.sum(0), torch.ones(24), atol=1e-5)
    assert torch.allclose(spread.sum(1), torch.ones(HOP), atol=1e-5)
    assert ((spread > 0).sum(1) <= 2).all(), "between two neighbours"
    assert torch.allclose(spread @ torch.full((24,), 1.7), torch.full((HOP,), 1.7), atol=1e-5)


def test_band_energies_do_not_beat_with_the_phase_of_a_tone() -> None:
    """Those of the MDCT alone do."""
    spectrum = BandSpectrum(CONFIG)
    found, alone = [], []
    for phase in torch.linspace(0, math.pi, 9):
        coefficients, envelope = spectrum.analyse(padded(tone(440, 0.4, float(phase))))
        found.append(envelope[0, 5].max())
        alone.append(0.5 * torch.log(coefficients[0, 5].square() @ spectrum.pool).max())
    decibels = 20 / math.log(10) * torch.stack([torch.stack(found), torch.stack(alone)])
    both, mdct = decibels.amax(1) - decibels.amin(1)
    assert both < 0.2
    assert mdct > 1


def test_energies_are_those_of_the_samples() -> None:
    noise = 0.1 * torch.randn(1, HOP * 400, generator=torch.Generator().manual_seed(0))
    _, envelope = BandSpectrum(CONFIG).analyse(padded(noise))
    assert torch.allclose((2 * envelope[0, 5:]).exp().mean(0), torch.full((24,), 0.01), rtol=0.2)


def test_gains_for_multiplying_are_silent_at_the_floor() -> None:
    spectrum = BandSpectrum(CONFIG)
    _, envelope = spectrum.analyse(torch.zeros(1, 3 * HOP))
    assert spectrum.audible_gains(envelope).max() < 1e-5
    loud = envelope + 6
    assert torch.allclose(spectrum.audible_gains(loud), spectrum.gains(loud), rtol=1e-4)


@pytest.mark.parametrize("hertz", [70.0, 110.0, 233.0, 410.0])
def test_pitch_of_a_voice(hertz: float) -> None:
    latents = PitchAnalysis(CONFIG).analyse(padded(0.1 * tone(hertz, 0.4, harmonics=12), 2))[:, 2:-1]
    assert (pitch_of(latents).exp() / hertz - 1).abs().max() < 0.02
    assert voicing_of(latents).min() > 0.9


def test_noise_is_unvoiced_and_its_pitch_costs_nothing() -> None:
    noise = 0.1 * torch.randn(1, HOP * 80, generator=torch.Generator().manual_seed(1))
    latents = PitchAnalysis(CONFIG).analyse(padded(noise, 2))[:, 1:]
    assert voicing_of(latents).median() < 0.3
    assert latents[..., :2].abs().median() < 1.0


def test_the_source_runs_at_pitches_on_a_grid() -> None:
    hertz = hertz_of(torch.randn(1, 50, 4) * 20)
    assert (hertz * GRID == (hertz * GRID).round()).all()
    assert hertz.min() >= 55 - 1 / GRID
    assert hertz.max() <= 550 + 1 / GRID


def test_transform_keeps_what_varies_most() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(12, 48, generator=generator)
    pairs = (torch.randn(500, 12, generator=generator) @ mixing + 3).view(500, 2, 24)
    transform = EnvelopeTransform(CONFIG)
    transform.fit(pairs, torch.linspace(1, 0.8, 24))
    envelope = pairs.view(1, 1000, 24)
    latents = transform.encode(envelope)
    assert latents.shape == (1, 500, 32)
    assert torch.allclose(transform.decode(latents), envelope, atol=1e-3), "12 directions fit into 32"
    spread = latents[0].var(0)
    assert (spread.diff() <= 1e-3).all(), "strongest first"


def wild(batch: int = 2, frames: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Mixed coefficients, energies and gains of what a broken network could say."""
    generator = torch.Generator().manual_seed(3)
    big = 1e3 * torch.randn(batch, frames, 4, HOP, generator=generator)
    pulses, quadrature, noise = torch.randn(3, batch, frames, HOP, generator=generator)
    source = Source(pulses, quadrature, noise, (pulses.square() + quadrature.square()) / 2)
    shape = 1e3 * torch.randn(batch, frames, HOP, generator=generator)
    mixed, energy = mix(big, shape, torch.ones(batch, frames, 1), source)
    pool, _ = erb_filters(24, HOP, RATE)
    pull, correction = 1e3 * torch.randn(2, batch, frames, 24, generator=generator)
    return mixed, energy, band_gains(energy @ pool, pull, correction)


def test_no_network_can_be_much_louder_than_the_envelope() -> None:
    _, energy, gains = wild()
    pool, _ = erb_filters(24, HOP, RATE)
    highest = ENERGY_LIMIT * math.exp(2 * CORRECTION)
    assert ((energy @ pool) * torch.exp(2 * gains) <= highest * 1.001).all()


def test_without_shape_codes_no_shape_is_heard() -> None:
    source = Source(*torch.zeros(4, 1, 2, HOP))
    raw = torch.randn(1, 2, 4, HOP)
    mixed, _ = mix(raw, torch.randn(1, 2, HOP), torch.zeros(1, 2, 1), source)
    assert (mixed == 0).all()


def test_limiter_leaves_room_and_what_is_below_its_knee() -> None:
    x = torch.linspace(-5, 5, 10001, dtype=torch.float64)
    y = limit(x, KNEE, ROOM)
    assert y.abs().max() <= 10 ** (-0.1 / 20)
    assert torch.equal(y[x.abs() < 0.9], x[x.abs() < 0.9])
    assert (y.diff() >= 0).all()
    assert (y.diff() <= x.diff() + 1e-12).all(), "no step"


def test_a_shape_is_coded_under_the_decoded_envelope() -> None:
    """Another envelope codebook gives other shape latents: the encoder divides by what the decoder will have."""
    torch.manual_seed(0)
    codec = EnvelopeCodec(ENVELOPE).eval()
    x = torch.from_numpy(voice(RATE, RATE))[None]
    with torch.no_grad():
        before, _ = codec.encode_step(x, None, True)
        codec.quantizer.parts[2].levels[0].vectors.add_(0.5)
        after, _ = codec.encode_step(x, None, True)
    shape = sum(ENVELOPE.part_dims[:3])
    assert torch.equal(before[..., :shape], after[..., :shape])
    assert not torch.allclose(before[..., shape:], after[..., shape:], atol=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"parts": [1, 1, 4]},
        {"parts": [2, 1, 3, 18]},
        {"part_dims": [32, 2, 32, 144]},
        {"part_dims": [32, 4, 64, 144]},
        {"source_bins": 321},
        {"mdct_hop": 322},
    ],
)
def test_shapes_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(FormatError, match="do not fit"):
        EnvelopeCodecConfig(**wrong)  # type: ignore[arg-type]

"""What keeps the harmonic decoder from being too loud, and that folders from before it are what they were."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from codectok.codec.folder import save_codec
from codectok.codec.harmonic import HarmonicCodec, HarmonicCodecConfig
from codectok.codec.harmonic.ceiling import KNEE, BandCeiling
from codectok.codec.limiter import limit
from codectok.codec.opening import open_codec
from codectok.fingerprint import two_fingerprints
from tests.codec.harmonic_subject import melody, tiny

HOP, BANDS = 160, 8


def ceiling(level: float = 0.0) -> BandCeiling:
    """With every band's ceiling at this log energy."""
    made = BandCeiling(4, 2, HOP, BANDS, 16000)
    with torch.no_grad():
        made.level.bias.fill_(level)
    return made


def noise(seed: int, scale: float) -> Tensor:
    return scale * torch.randn(2, 12, HOP, generator=torch.Generator().manual_seed(seed))


def bounded(made: BandCeiling, x: Tensor) -> Tensor:
    with torch.no_grad():
        return made(x, made.ceilings(torch.zeros(2, 3, 4)))


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_no_band_gets_far_over_its_ceiling(scale: float) -> None:
    made = ceiling(1.0)
    got = made.energies(bounded(made, noise(0, scale)), 6)
    assert float(got.max()) < 1.0 + 1.5  # neighbours share bins, so not exactly


def test_what_is_well_below_stays_as_it_is() -> None:
    made, x = ceiling(12.0), noise(1, 1.0)
    torch.testing.assert_close(bounded(made, x), x, rtol=1e-3, atol=1e-6)


def test_a_burst_in_one_frame_and_band_touches_nothing_else() -> None:
    made, x = ceiling(6.0), noise(2, 0.1)
    burst = x.clone()
    burst[:, 4:6, 100:120] *= 1000
    was, got = bounded(made, x), bounded(made, burst)
    torch.testing.assert_close(got[:, :4], was[:, :4])
    torch.testing.assert_close(got[:, 6:], was[:, 6:])
    torch.testing.assert_close(got[:, 4:6, :20], was[:, 4:6, :20])
    assert float(got[:, 4:6, 100:120].square().sum()) < float(burst[:, 4:6, 100:120].square().sum()) / 300


def test_samples_stay_below_the_peak_and_soft_ones_as_they_are() -> None:
    x = torch.linspace(-50, 50, 100_001, dtype=torch.float64)
    bend = KNEE * 0.985, 0.985 - KNEE * 0.985
    y = limit(x, *bend)
    assert float(y.abs().max()) <= 0.985
    assert bool((y.diff() >= 0).all())
    soft = x.abs() < 0.78
    assert torch.equal(y[soft], x[soft])
    torch.testing.assert_close(limit(x[5:9], *bend), y[5:9])


def limited(codec: HarmonicCodec) -> HarmonicCodec:
    made = HarmonicCodec(replace(codec.config, ceiling_bands=BANDS, peak=0.5))
    made.load_state_dict(codec.state_dict(), strict=False)
    return made.eval()


@torch.inference_mode()
def test_a_decoder_that_explodes_is_held_whatever_the_codes() -> None:
    codec = tiny()
    made = limited(codec)
    assert made.decoder.ceiling is not None
    made.decoder.ceiling.level.bias.fill_(-2.0)
    z = codec.dequantize(melody(codec, 2))
    for one in (codec, made):
        one.decoder.output.bias[: 2 * one.config.frame] += 9
    loud, held = (one.decode_step(z, None, True)[0] for one in (codec, made))
    assert float(loud.abs().max()) > 10
    assert float(held.abs().max()) < 0.5
    assert float(held.square().mean().sqrt()) < 0.2


@torch.inference_mode()
def test_streams_are_equal_with_ceilings_and_peak() -> None:
    codec = limited(tiny())
    assert codec.decoder.ceiling is not None
    codec.decoder.ceiling.level.bias.fill_(-4.0)
    z = codec.dequantize(melody(codec, 4))
    whole, state, parts = codec.decode_step(z, None, True)[0], None, []
    for block in z.split([1, 7, 30, z.shape[1] - 38], 1):
        samples, state = codec.decode_step(block, state, False)
        parts.append(samples)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=1e-5)


def test_a_folder_without_ceilings_keeps_its_config_and_fingerprint(tmp_path: Path) -> None:
    """New fields at their defaults are not written, so saving such a model again changes nothing."""
    codec = tiny()
    save_codec(codec, tmp_path / "a")
    config = json.loads((tmp_path / "a/config.json").read_text())
    assert "peak" not in config
    assert set(asdict(codec.config)) - set(config) >= {"ceiling_bands", "peak"}
    opened = open_codec(tmp_path / "a", "a")
    both = two_fingerprints(config, codec.state_dict(), codec.decoder_keys, codec.decoder_parts)
    assert (opened.fingerprint, opened.decoder_fingerprint) == both
    save_codec(limited(codec), tmp_path / "b")
    again = open_codec(tmp_path / "b", "b").model
    assert isinstance(again.config, HarmonicCodecConfig)
    assert again.config.ceiling_bands == BANDS
    assert again.config.peak == 0.5

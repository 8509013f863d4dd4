"""The harmonic codec's pitch: estimated well, and one number for all ways of decoding; its other features."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.audio_utils import mel_filter_bank

from codectok.codec.harmonic import HarmonicCodec
from codectok.codec.harmonic.analysis import Analysis
from codectok.codec.harmonic.mel import mel_filters
from tests.codec.harmonic_subject import RATE, melody, tiny, tone
from tests.contract.subjects import HARMONIC

close = torch.testing.assert_close


def fresh_pitch(audio: Tensor) -> Tensor:
    """Hz, two values a code frame, through the linear paths only."""
    codec = HarmonicCodec(HARMONIC)
    with torch.no_grad():
        codec.encoder.output.weight.zero_()
        codec.encoder.output.bias.zero_()
        latents, _ = codec.encode_step(audio, None, True)
        return codec.decoder.pitch(latents)[0].exp()


@pytest.mark.parametrize(
    ("hertz", "off"), [(75.0, 0.02), (101.3, 0.004), (199.0, 0.004), (333.3, 0.004), (440.0, 0.004)]
)
def test_pitch_is_read_from_the_fresh_latent(hertz: float, off: float) -> None:
    """Analysis, linear paths and the decoder's reading agree before any training."""
    assert ((fresh_pitch(tone(hertz))[6:-6] / hertz - 1).abs() < off).all()


def test_pitch_of_a_code_frame_is_that_of_its_last_window() -> None:
    """60 ms that end with the frame: pitch of 30 ms before its end."""
    t = torch.arange(RATE, dtype=torch.float64) / RATE
    phase = 100 * (torch.exp2(t) - 1) / math.log(2)  # an octave a second
    audio = sum(0.1 * torch.sin(2 * math.pi * h * phase) for h in range(1, 9)).float()[None]  # type: ignore[union-attr]
    heard = fresh_pitch(audio).view(-1, 2)[3:-3, 0]
    end = 0.04 * torch.arange(4, 4 + len(heard))
    assert ((heard / (100 * torch.exp2(end - 0.03)) - 1).abs() < 0.01).all()


def test_voicing_tells_a_voice_from_noise() -> None:
    analysis = Analysis(HARMONIC)
    noise = torch.randn(1, RATE // 320 * 320, generator=torch.Generator().manual_seed(0))
    for x, voiced in ((tone(150), True), (noise, False)):
        features, _ = analysis.step(x, None)
        assert bool((features[0, 4:, -1] > 0.5).float().mean() > 0.9) is voiced


def test_pitch_carries_gradient_within_its_range() -> None:
    decoder = tiny().decoder
    z = torch.zeros(1, 3, HARMONIC.latent_dim)
    z[0, :, 6:8] = torch.tensor([[0.0, 1.0], [100.0, -1.0], [-100.0, 3.0]])
    z.requires_grad_()
    pitch = decoder.pitch(z)
    close(
        pitch.exp(), 150 * torch.tensor([[1, math.exp(1 / 15), 550 / 150, math.exp(-1 / 15), 55 / 150, math.exp(0.2)]])
    )
    pitch.sum().backward()
    assert torch.equal(z.grad.bool(), torch.nn.functional.pad(torch.tensor([[[1, 1], [0, 1], [0, 1]]]), (6, 16)).bool())
    hertz = decoder.hertz(z)
    assert hertz.dtype == torch.float64
    assert not hertz.requires_grad
    assert torch.equal(hertz * 4096, (hertz * 4096).round())


def test_pitch_is_the_same_number_for_every_cut_batch_and_precision() -> None:
    codec = tiny()
    z = codec.dequantize(melody(codec, 20, batch=3))
    whole = codec.decoder.hertz(z)
    assert torch.equal(torch.cat([codec.decoder.hertz(piece) for piece in z.split([1, 2, 3, 200, 294], 1)], 1), whole)
    assert torch.equal(codec.decoder.hertz(z[1:2]), whole[1:2])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(codec.decoder.hertz(z), whole)


@pytest.mark.parametrize("kind", ["silence", "constant", "impulse", "square", "faint", "loud", "nyquist"])
def test_odd_audio_has_finite_latents(kind: str) -> None:
    x = torch.zeros(1, 6400)
    if kind == "constant":
        x += 1
    elif kind == "impulse":
        x[0, 3000] = 1
    elif kind == "nyquist":
        x[0, ::2] = 1
    elif kind != "silence":
        x = torch.sign(tone(100, 0.4)) * {"square": 1.0, "faint": 1e-30, "loud": 1e4}[kind]
    codec = tiny()
    z, _ = codec.encode_step(x, None, True)
    assert z.isfinite().all()
    assert codec.decode_step(codec.dequantize(codec.quantize(z, 4)), None, True)[0].isfinite().all()


def test_mel_filters_are_those_of_htk() -> None:
    ours = mel_filters(40, 513, RATE)
    theirs = mel_filter_bank(513, 40, 0, RATE / 2, RATE, norm=None, mel_scale="htk", triangularize_in_mel_space=True)
    # HTK's own scale has 1127 ln(1 + f / 700), which differs from 2595 log10(1 + f / 700) in the fifth digit.
    np.testing.assert_allclose(ours.numpy(), theirs, atol=2e-3)

"""Reconstruction losses against hand-computed cases, a slow Fourier sum, and transformers' mel filters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.audio_utils import mel_filter_bank

from codectok.errors import AudioError, CodectokError, FormatError
from train_codec.losses import (
    EncodecMelLoss,
    MelLoss,
    MultiResolutionSTFTLoss,
    SpectralLosses,
    l1_loss,
    mel_filters,
    waveform_loss,
)
from train_codec.objective import Objective
from train_codec.recipe import load_recipe

RATE = 16000
pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filter")  # the peer's, for narrow filters


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.2


def slow_spectrum(x: np.ndarray, n: int, hop: int) -> np.ndarray:
    """Complex [T, F] by the sum of the definition, with reflected ends and a Hann window; x is [S], float64."""
    padded = np.concatenate([x[1 : n // 2 + 1][::-1], x, x[-n // 2 - 1 : -1][::-1]])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    frames = np.stack([padded[i : i + n] * window for i in range(0, len(padded) - n + 1, hop)])
    return frames @ np.exp(-2j * np.pi * np.arange(n)[:, None] * np.arange(n // 2 + 1) / n)


def unit_energy(n: int) -> float:
    return math.sqrt(3 * n / 8)  # root of the sum of a squared periodic Hann window


def peer_filters(n_mels: int, n: int, scale: str, equal_area: bool) -> np.ndarray:
    norm, in_mel_space = ("slaney" if equal_area else None), scale == "htk" and not equal_area
    return mel_filter_bank(n // 2 + 1, n_mels, 0, RATE / 2, RATE, norm, scale, in_mel_space)


@pytest.mark.parametrize(("scale", "equal_area"), [("htk", False), ("slaney", True), ("slaney", False)])
@pytest.mark.parametrize(("n_mels", "n"), [(5, 32), (64, 64), (80, 512), (320, 2048)])
def test_mel_filters_equal_transformers(scale: str, equal_area: bool, n_mels: int, n: int) -> None:
    ours = mel_filters(n_mels, n, RATE, scale, equal_area)  # type: ignore[arg-type]
    peer = peer_filters(n_mels, n, scale, equal_area)
    np.testing.assert_allclose(ours.numpy(), peer, atol=1e-6 * peer.max())


def test_mel_loss_equals_the_slow_sum() -> None:
    x, y = noise(1, 400), noise(1, 400, seed=1)
    expected = 0.0
    for n, mels in [(32, 5), (128, 20)]:
        filters = peer_filters(mels, n, "slaney", True)
        a, b = (
            np.log10(np.maximum(np.abs(slow_spectrum(v[0].double().numpy(), n, n // 4)) @ filters, 1e-5))
            for v in (x, y)
        )
        expected += float(np.abs(a - b).mean())
    assert float(MelLoss(RATE, (32, 128), (5, 20))(x, y)) == pytest.approx(expected, rel=1e-4)


def test_a_tenth_of_the_amplitude_is_one_unit_of_every_filter() -> None:
    windows, mels = (32, 64, 128, 256, 512, 1024, 2048), (5, 10, 20, 40, 80, 160, 320)
    filled = sum(
        float((mel_filters(m, n, RATE, "slaney", True).sum(0) > 0).float().mean())
        for n, m in zip(windows, mels, strict=True)
    )
    x = 10 * noise(1, 8000)
    assert filled > 6.5
    assert float(MelLoss(RATE)(0.1 * x, x)) == pytest.approx(filled, rel=1e-3)


@pytest.mark.parametrize("alpha", [1.0, 4.0])
def test_encodec_mel_loss_equals_the_slow_sum(alpha: float) -> None:
    x, y = noise(1, 500), noise(1, 500, seed=1)
    total = 0.0
    for n in (32, 256):
        filters = peer_filters(64, n, "htk", False)
        a, b = (
            (np.abs(slow_spectrum(v[0].double().numpy(), n, n // 4)) / unit_energy(n)) ** 2 @ filters for v in (x, y)
        )
        total += np.abs(a - b).mean() + alpha * ((np.log10(a + 1e-5) - np.log10(b + 1e-5)) ** 2).mean()
    loss = EncodecMelLoss(RATE, (32, 256), alphas=(alpha, alpha))
    assert float(loss(x, y)) == pytest.approx(total / (2 + 2 * alpha), rel=1e-4)


def test_spectral_losses_equal_the_slow_sum() -> None:
    x, y = noise(1, 400), noise(1, 400, seed=1)
    mel = complex_ = 0.0
    for n in (64, 128):
        a, b = (slow_spectrum(v[0].double().numpy(), n, n // 4) / unit_energy(n) for v in (x, y))
        filters = peer_filters(max(6, n * 5 // 64), n, "htk", False)
        log_a, log_b = (np.log10(np.maximum(np.sqrt(np.abs(v) ** 2 + 1e-8) @ filters, 1e-3)) for v in (a, b))
        mel += np.abs(log_a - log_b).mean() / 2
        ca, cb = (v * np.sqrt(np.abs(v) ** 2 + 1e-8) ** -0.7 for v in (a, b))
        complex_ += (np.abs(ca - cb) ** 2).mean() / 2
    losses = SpectralLosses(RATE, [64, 128, 256])(x, y, [64, 128])
    assert float(losses["mel"]) == pytest.approx(mel, rel=1e-4)
    assert float(losses["complex"]) == pytest.approx(complex_, rel=1e-4)


def test_only_the_complex_term_hears_the_sign() -> None:
    x = noise(2, 2000)
    losses = SpectralLosses(RATE, [256])(-x, x)
    assert float(losses["mel"]) == pytest.approx(0, abs=1e-6)
    assert float(losses["complex"]) > 0.5


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 20))
def test_stft_loss_of_a_gain(gain: float) -> None:
    x = 10 * noise(2, 3000)
    losses = MultiResolutionSTFTLoss()(gain * x, x)
    assert float(losses["convergence"]) == pytest.approx(abs(gain - 1), rel=1e-3, abs=1e-4)
    assert float(losses["log_magnitude"]) == pytest.approx(abs(math.log(gain)), rel=1e-3, abs=1e-4)


def test_stft_loss_of_a_batch_is_the_mean_of_its_items() -> None:
    x, y = noise(3, 2500), noise(3, 2500, seed=1) * torch.tensor([[0.01], [1.0], [10.0]])
    loss = MultiResolutionSTFTLoss()
    alone = [loss(x[i : i + 1], y[i : i + 1]) for i in range(3)]
    for name, value in loss(x, y).items():
        assert float(value) == pytest.approx(sum(float(a[name]) for a in alone) / 3, rel=1e-4)


def test_stft_loss_refuses_transforms_that_are_no_power_of_two() -> None:
    for bad in [(600, 100, 600), (512, 100, 600)]:
        with pytest.raises(CodectokError, match="power of two"):
            MultiResolutionSTFTLoss([bad])


def test_waveform_losses_by_hand() -> None:
    target = torch.tensor([[3.0, -4.0, 0.0, 0.0], [0.3, -0.4, 0.0, 0.0]])  # RMS 2.5 and 0.25
    predicted = target + torch.tensor([[1.0, 0.0, 0.0, -1.0], [0.1, 0.0, 0.0, 0.1]])
    assert float(l1_loss(predicted, target)) == pytest.approx((0.5 + 0.05) / 2)
    assert float(waveform_loss(predicted, target)) == pytest.approx(0.2)  # both items 0.5 / 2.5


ALL = [
    MelLoss(RATE),
    EncodecMelLoss(RATE),
    SpectralLosses(RATE, [64, 2048]),
    MultiResolutionSTFTLoss(),
    l1_loss,
    waveform_loss,
]


def total(loss: object, predicted: Tensor, target: Tensor) -> Tensor:
    value = loss(predicted, target)  # type: ignore[operator]
    return torch.stack(list(value.values())).sum() if isinstance(value, dict) else value


@pytest.mark.parametrize("loss", ALL, ids=lambda v: getattr(v, "__name__", type(v).__name__))
class TestEveryLoss:
    def test_zero_for_equal_waveforms_and_positive_otherwise(self, loss: object) -> None:
        x = noise(2, 2400)
        assert float(total(loss, x, x.clone())) == pytest.approx(0, abs=1e-6)
        assert float(total(loss, x, noise(2, 2400, seed=1))) > 0.01

    @pytest.mark.parametrize(("predicted", "target"), [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)])
    def test_gradient_is_finite_at_silence(self, loss: object, predicted: float, target: float) -> None:
        x = (noise(2, 2400) * predicted).requires_grad_()
        total(loss, x, noise(2, 2400, seed=1) * target).backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()

    def test_the_same_under_autocast(self, loss: object) -> None:
        x, y = noise(2, 2400), noise(2, 2400, seed=1)
        expected = total(loss, x, y)
        with torch.autocast("cpu", torch.bfloat16):
            assert float(total(loss, x, y)) == float(expected)

    def test_bfloat16_audio_gives_a_float32_loss(self, loss: object) -> None:
        value = total(loss, noise(2, 2400).bfloat16(), noise(2, 2400, seed=1).bfloat16())
        assert value.dtype == torch.float32
        assert value.isfinite()

    def test_unlike_shapes_are_refused(self, loss: object) -> None:
        for a, b in [((2, 2400), (2, 2399)), ((2, 1, 2400), (2, 1, 2400)), ((2400,), (2400,))]:
            with pytest.raises(AudioError, match="two waveforms"):
                total(loss, noise(*a), noise(*b))

    def test_too_short_a_crop_is_refused_or_works(self, loss: object) -> None:
        if isinstance(loss, torch.nn.Module):
            with pytest.raises(AudioError, match="more than 1024"):
                total(loss, noise(1, 1024), noise(1, 1024))
            total(loss, noise(1, 1025), noise(1, 1025))


@pytest.mark.parametrize(("kind", "own"), [("dac", MelLoss), ("encodec", EncodecMelLoss)])
def test_a_recipe_chooses_the_mel_loss_of_a_paper(kind: str, own: type[MelLoss] | type[EncodecMelLoss]) -> None:
    recipe = load_recipe("tiny", [f"mel_kind={kind}", "complex_weight=0", "perceptual_weight=0", "l1_weight=0.5"])
    objective = Objective(recipe, RATE, 4)
    x, y = noise(2, 4000), noise(2, 4000, seed=1)
    terms = objective.waveform_terms(x, y, 0, None)
    torch.testing.assert_close(terms["mel"], own(RATE)(x, y))
    torch.testing.assert_close(terms["l1"], (x - y).abs().mean())


def test_an_unknown_mel_loss_is_refused() -> None:
    with pytest.raises(FormatError, match="mel_kind is 'bark': give shared, dac or encodec"):
        load_recipe("tiny", ["mel_kind=bark"])

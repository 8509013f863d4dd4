"""Log-mel and MFCC: against transformers' filterbank, SciPy's transform, and figures of torchaudio's own functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from codectok.errors import CodectokError
from codectok.units import load_encoder
from codectok.units.encoders.baselines import deltas, log_mel, mfcc
from tests.units.conftest import noise

transformers = pytest.importorskip("transformers")
scipy_fft = pytest.importorskip("scipy.fft")


def reference(audio: np.ndarray, bins: int) -> np.ndarray:
    """Kaldi's filterbank by transformers."""
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    filters = mel_filter_bank(257, bins, 20, 8000, 16000, None, "kaldi", triangularize_in_mel_space=True)
    filters[-1] = 0
    options: dict[str, Any] = {"frame_length": 400, "hop_length": 160, "fft_length": 512, "power": 2.0}
    options |= {"center": False, "preemphasis": 0.97, "remove_dc_offset": True, "log_mel": "log"}
    window = window_function(400, "povey", periodic=False)
    return spectrogram(audio, window, mel_filters=filters, mel_floor=2.0**-23, **options).T


@pytest.mark.parametrize("bins", [23, 80])
def test_log_mel(bins: int) -> None:
    audio = noise(16000) * np.linspace(0.001, 1, 16000, dtype=np.float32)
    found = log_mel(torch.from_numpy(audio), bins)
    np.testing.assert_allclose(found.numpy(), reference(audio, bins), atol=2e-3)


def test_mfcc() -> None:
    audio = noise(8000)
    cepstra = scipy_fft.dct(reference(audio, 23), type=2, norm="ortho", axis=1)[:, :13]
    cepstra *= 1 + 11 * np.sin(np.pi * np.arange(13) / 22)
    found = mfcc(torch.from_numpy(audio)).numpy()
    np.testing.assert_allclose(found[:, :13], cepstra, atol=1e-2)
    for t in range(len(found)):
        around = [found[min(max(t + j, 0), len(found) - 1), :26] for j in (-2, -1, 0, 1, 2)]
        slope = (2 * (around[4] - around[0]) + around[3] - around[1]) / 10
        np.testing.assert_allclose(found[t, 13:], slope, atol=1e-4)


def test_figures_of_torchaudio() -> None:
    """From torchaudio.compliance.kaldi and torchaudio.functional.compute_deltas 2.11, on a sweep and a tone."""
    n = torch.arange(4000, dtype=torch.float64) / 16000
    x = (0.3 * torch.sin(2 * math.pi * (200 * n + 2000 * n * n)) + 0.1 * torch.sin(2 * math.pi * 3000 * n)).float()
    found, mel = mfcc(x), log_mel(x, 80)
    assert (found.shape, mel.shape) == ((23, 39), (23, 80))
    figures = {
        (0, 0): -45.11938, (0, 1): 31.72437, (0, 12): 31.46989,
        (11, 0): -39.78491, (11, 13): -0.08888, (11, 20): 10.65001, (11, 26): -0.07125, (11, 38): 3.34060,
        (22, 0): -40.33378, (22, 13): -0.04776, (22, 38): 0.11037,
    }  # fmt: skip
    for place, value in figures.items():
        assert float(found[place]) == pytest.approx(value, abs=5e-3)
    for place, value in {(0, 0): -8.00042, (0, 10): -0.16363, (22, 0): -10.83439, (22, 10): -13.56840}.items():
        assert float(mel[place]) == pytest.approx(value, abs=5e-3)
    assert float(mel[0, 79]) == pytest.approx(-15.94238)  # the floor


def test_deltas_of_a_ramp() -> None:
    assert torch.allclose(deltas(torch.arange(10.0)[:, None])[2:-2], torch.tensor(1.0))
    assert float(deltas(torch.ones(1, 3)).abs().max()) == 0


def test_baselines_as_encoders() -> None:
    audio = noise(16007)
    for name, width in (("logmel", 80), ("mfcc", 39)):
        encoder = load_encoder(name, 0, padding="none")
        assert (encoder.dim, encoder.layers, encoder.frame_rate) == (width, (0,), 100)
        whole = mfcc(torch.from_numpy(audio)) if name == "mfcc" else log_mel(torch.from_numpy(audio), 80)
        torch.testing.assert_close(encoder.features(audio), whole)
        again = load_encoder(**encoder.options())
        assert again.fingerprint == encoder.fingerprint
        assert encoder.features(np.zeros(1, dtype=np.float32)).isfinite().all()
    assert load_encoder("mfcc", -1).fingerprint != load_encoder("logmel", 0).fingerprint


@pytest.mark.parametrize(
    "options", [{"layer": 1}, {"layer": 0, "dtype": "int8"}, {"layer": 0, "convention": "fairseq"}]
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(CodectokError, match="mfcc"):
        load_encoder("mfcc", **options)

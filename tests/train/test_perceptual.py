"""The perceptual loss follows PESQ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from codectok.errors import AudioError
from train_codec.losses.perceptual import PerceptualLoss

pesq = pytest.importorskip("pesq")
CLIPS = sorted((Path(__file__).parents[2] / "benchmarks/speech").rglob("*.opus"))[:3]


def _speech() -> list[torch.Tensor]:
    assert CLIPS
    return [torch.from_numpy(soundfile.read(p, dtype="float32")[0][:48000])[None] for p in CLIPS]


def test_it_ranks_degradations_as_pesq_does() -> None:
    loss, rng = PerceptualLoss(), np.random.default_rng(0)
    ours, theirs = [], []
    for x in _speech():
        noise = torch.from_numpy(rng.normal(size=x.shape).astype(np.float32))
        for snr in (35, 25, 15, 5):
            y = x + noise * x.std() * 10 ** (-snr / 20)
            ours.append(float(loss(y, x)))
            theirs.append(pesq.pesq(16000, x[0].numpy(), y[0].numpy(), "wb"))
    # The mapping of P.862.2 from disturbance to MOS.
    mos = 0.999 + 4 / (1 + np.exp(-1.3669 * (4.5 - np.array(ours)) + 3.8224))
    assert np.corrcoef(mos, theirs)[0, 1] > 0.9
    assert np.abs(mos - theirs).mean() < 0.5


def test_equal_signals_and_gains_cost_nothing() -> None:
    loss = PerceptualLoss()
    x = _speech()[0]
    assert float(loss(x, x)) < 2e-3
    assert float(loss(0.3 * x, x)) < 2e-3


def test_gradient_is_finite_even_for_silence() -> None:
    x = torch.cat([_speech()[0][:, :16000], torch.zeros(1, 16000)])
    y = (x + 0.01 * torch.randn_like(x)).requires_grad_()
    PerceptualLoss()(y, x).backward()
    assert y.grad is not None
    assert y.grad.isfinite().all()
    assert y.grad[0].abs().max() > 0
    silent = torch.zeros(1, 16000, requires_grad=True)
    PerceptualLoss()(silent, x[:1]).backward()
    assert silent.grad is not None
    assert silent.grad.isfinite().all()


def test_other_rates_and_short_crops_are_refused() -> None:
    with pytest.raises(AudioError, match="16000 Hz"):
        PerceptualLoss(24000)
    with pytest.raises(AudioError, match="needs crops"):
        PerceptualLoss()(torch.zeros(1, 3000), torch.zeros(1, 3000))

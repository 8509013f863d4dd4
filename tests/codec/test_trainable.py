"""Every codec can be trained: gradients go from its samples back to its first weights, through the quantizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from codectok.codec.dac import DacCodec, Snake
from codectok.codec.encodec import EncodecCodec
from codectok.codec.folder import save_codec
from codectok.codec.harmonic import HarmonicCodec
from codectok.codec.mimi import MimiCodec
from codectok.codec.model import CodecModel
from codectok.codec.opening import open_codec
from codectok.codec.tokenizer import CodecTokenizer
from codectok.testing import voice
from tests.contract.subjects import DAC, ENCODEC, HARMONIC, MIMI

CODECS: list[tuple[type[CodecModel], Any]] = [
    (HarmonicCodec, HARMONIC),
    (EncodecCodec, ENCODEC),
    (MimiCodec, MIMI),
    (DacCodec, DAC),
]
each = pytest.mark.parametrize(("kind", "config"), CODECS, ids=[k.__name__ for k, _ in CODECS])


def _speech(model: CodecModel) -> torch.Tensor:
    return torch.stack([torch.from_numpy(voice(model.frame_size * 8, model.sample_rate, seed)) for seed in range(2)])


@each
def test_gradients_reach_every_weight(kind: Any, config: Any) -> None:
    torch.manual_seed(0)
    model = kind(config).train()
    x = _speech(model)
    latents, _ = model.encode_step(x, None, True)
    model.quantizer.fit(latents.repeat(1, 20, 1))
    out = model.quantizer(latents, torch.tensor([4, 2]), 0.99)
    samples, _ = model.decode_step(out.quantized, None, True)
    samples = samples[:, : x.shape[1]]
    target = x[:, : samples.shape[1]]
    ((samples - target).square().mean() + out.commitment.sum() + out.codebook_loss.sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"no gradient reaches {name}"
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any(), f"the gradient of {name} is 0"


@each
def test_training_and_inference_run_the_same_computation(kind: Any, config: Any) -> None:
    """In blocks, in place and without gradient, or whole and with it."""
    torch.manual_seed(0)
    model = kind(config)
    x = _speech(model)
    latents, _ = model.encode_step(x, None, True)
    samples, _ = model.decode_step(latents, None, True)
    with torch.inference_mode():
        again, _ = model.encode_step(x, None, True)
        torch.testing.assert_close(again, latents.detach(), rtol=1e-4, atol=1e-5)
        heard, _ = model.decode_step(again, None, True)
        torch.testing.assert_close(heard, samples.detach(), rtol=1e-4, atol=1e-5)


@each
def test_a_few_steps_help(kind: Any, config: Any) -> None:
    torch.manual_seed(0)
    model = kind(config).train()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    x = _speech(model)
    losses = []
    for _ in range(15):
        latents, _ = model.encode_step(x, None, True)
        out = model.quantizer(latents, None, 0.9)
        samples, _ = model.decode_step(out.quantized, None, True)
        samples = samples[:, : x.shape[1]]
        loss = (samples - x[:, : samples.shape[1]]).square().mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        (loss + 0.01 * (out.commitment.sum() + out.codebook_loss.sum())).backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_dac_folder_opens_with_the_same_codes(tmp_path: Path) -> None:
    model = DacCodec(DAC)
    save_codec(model, tmp_path)
    x = _speech(model)[0].numpy()
    ours = CodecTokenizer(model, "dac", "0" * 32).encode(x, model.sample_rate)
    assert torch.equal(open_codec(tmp_path, "dac").encode(x, model.sample_rate).codes, ours.codes)


def test_snake_is_its_formula() -> None:
    snake = Snake(3)
    with torch.no_grad():
        snake.alpha.copy_(torch.tensor([0.5, 1.0, 3.0]))
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(snake(x), x + torch.sin(snake.alpha * x) ** 2 / snake.alpha)

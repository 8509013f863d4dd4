"""Factorised quantization: the cosine oracle, the gradients it documents, learning by gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from vector_quantize_pytorch import VectorQuantize

from codectok.codec.factorised import FactorisedVQ
from tests.quantizers.subjects import DIM, MAKERS, SIZES, fitted, latents


@torch.no_grad()
def test_codes_equal_the_cosine_oracle() -> None:
    vq = FactorisedVQ(DIM, [50], 3)
    oracle: Any = VectorQuantize(DIM, codebook_size=50, codebook_dim=3, use_cosine_sim=True).eval()
    level = vq.levels[0]
    oracle.project_in.load_state_dict(level.input.state_dict())
    oracle._codebook.embed.data[0] = F.normalize(level.vectors, dim=1)
    z = latents(1, 500)
    _, expected, _ = oracle(z)
    assert (vq.encode(z)[:, 0] == expected).float().mean() > 0.998


def test_the_length_of_a_code_does_not_matter_to_the_search() -> None:
    vq: Any = fitted(MAKERS["factorised"])
    before = vq.encode(latents(), 1)
    with torch.no_grad():
        vq.levels[0].vectors.mul_(torch.rand(SIZES[0], 1) * 10 + 0.1)
    assert torch.equal(vq.encode(latents(), 1), before)


def test_gradients_are_as_documented() -> None:
    vq: Any = fitted(MAKERS["factorised"])
    with torch.no_grad():
        for parameter in vq.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    z = latents(grad=True)
    out, probe = vq(z), torch.randn(z.shape)
    left = [torch.eye(DIM)]
    for level in vq.levels:
        left.append((torch.eye(DIM) - level.output.weight @ level.input.weight) @ left[-1])
    (gradient,) = torch.autograd.grad((out.quantized * probe).sum(), z, retain_graph=True)
    torch.testing.assert_close(gradient, probe @ (torch.eye(DIM) - left[-1]), rtol=1e-4, atol=1e-5)
    for k, level in enumerate(vq.levels):
        residual = z.detach() - (vq.decode(vq.encode(z, k)).detach() if k else 0.0)
        error = level.input(residual) - level.vectors[out.codes[:, k]]
        (gradient,) = torch.autograd.grad(out.commitment[k], z, retain_graph=True)
        expected = 2 * error @ level.input.weight @ left[k] / error.numel()
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(out.commitment[k], error.square().mean())


def test_codes_learn_by_the_codebook_loss_only() -> None:
    vq, z = fitted(MAKERS["factorised"]), latents()
    weights = [t for level in vq.levels for t in (level.vectors, level.input.weight)]

    def reached(loss: torch.Tensor) -> list[bool]:
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        return [g is not None and bool(g.any()) for g in gradients]

    assert reached(vq(z).quantized.sum()) == [False, True] * 4
    assert reached(vq(z).commitment.sum()) == [False, True] * 4
    assert reached(vq(z).codebook_loss.sum()) == [True, False] * 4


@pytest.mark.parametrize("start", ["random", "fitted"])
def test_training_comes_closer_and_stays(start: str) -> None:
    """Gradients that do not belong together (commitments cut loose from the residual) diverge within these steps."""
    torch.manual_seed(0)
    vq, z = FactorisedVQ(DIM, [16, 16], 4), latents(4, 100)
    if start == "fitted":
        vq.fit(z)
    optimizer = torch.optim.Adam(vq.parameters(), 0.02)
    errors = []
    for _ in range(150):
        out = vq(z, update_decay=0.9)
        error = (out.quantized - z).square().mean()
        errors.append(float(error.detach()))
        optimizer.zero_grad()
        (error + out.codebook_loss.sum() + 0.25 * out.commitment.sum()).backward()
        optimizer.step()
    assert errors[-1] < (0.25 if start == "random" else 1.0) * errors[0]
    assert max(errors[-20:]) < 1.2 * min(errors)


def test_codes_must_be_narrower() -> None:
    with pytest.raises(ValueError, match="narrower"):
        FactorisedVQ(4, [8], 5)

"""Gumbel-softmax quantization: choices follow the logits' probabilities, the soft path teaches, annealing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from codectok.codec.gumbel import GumbelVQ, unused
from tests.quantizers.subjects import DIM, MAKERS, fitted, latents


def test_choices_in_training_follow_the_probabilities() -> None:
    torch.manual_seed(0)
    vq = GumbelVQ(2, [4])
    z = torch.randn(1, 1, 2).expand(1, 20000, 2)
    expected = vq.groups[0].logits(z[0, 0]).softmax(-1)
    share = torch.bincount(vq(z).codes.flatten(), minlength=4) / 20000
    torch.testing.assert_close(share, expected.detach(), rtol=0, atol=0.02)
    assert len(vq.eval()(z).codes.unique()) == 1


def test_hard_forward_soft_backward_equal_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    vq: Any = fitted(MAKERS["gumbel"])
    vq.anneal(100_000)
    z, probe = latents(grad=True), torch.randn(latents().shape)
    noise = [torch.distributions.Gumbel(0, 1).sample((3, 40, size)) for size in vq.codebook_sizes]
    drawn = iter(noise)
    monkeypatch.setattr(vq, "noise", lambda logits: next(drawn))
    got = torch.autograd.grad((vq(z).quantized * probe).sum(), [z, *vq.parameters()])
    parts = []
    for group, n in zip(vq.groups, noise, strict=True):
        soft = F.softmax((group.logits(z) + n) / vq.temperature, -1)
        hard = F.one_hot(soft.argmax(-1), soft.shape[-1]) - soft.detach() + soft
        parts.append(hard @ group.vectors)
    expected = torch.autograd.grad((torch.cat(parts, -1) * probe).sum(), [z, *vq.parameters()])
    torch.testing.assert_close(got, expected)


def test_fit_makes_the_logits_choose_the_nearest_code() -> None:
    vq, z = fitted(MAKERS["gumbel"]), latents()
    codes = vq.encode(z)
    for k, (group, part) in enumerate(zip(vq.groups, z.chunk(len(vq.groups), -1), strict=True)):
        nearest = torch.cdist(part.flatten(0, 1), group.vectors).argmin(1).view(3, 40)
        assert (codes[:, k] == nearest).float().mean() > 0.99


def test_diversity_loss_counts_what_is_unused() -> None:
    torch.testing.assert_close(unused(torch.ones(8) / 8), torch.tensor(0.0))
    torch.testing.assert_close(unused(F.one_hot(torch.tensor(3), 8).float()), torch.tensor(7 / 8))
    vq, z = fitted(MAKERS["gumbel"]), latents()
    before = vq(z).codebook_loss.sum()
    optimizer = torch.optim.SGD(vq.parameters(), 0.5)
    for _ in range(20):
        optimizer.zero_grad()
        vq(z).codebook_loss.sum().backward()
        optimizer.step()
    assert vq(z).codebook_loss.sum() < before


def test_annealing_depends_on_the_step_alone() -> None:
    vq = GumbelVQ(DIM, [4, 4], (2.0, 0.5, 0.99))
    assert vq.temperature == vq.anneal(0) == 2.0
    assert vq.anneal(10) == pytest.approx(2 * 0.99**10)
    assert vq.anneal(100000) == vq.temperature == 0.5


def test_groups_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="not a multiple"):
        GumbelVQ(7, [4, 4])

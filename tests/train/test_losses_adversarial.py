"""Adversarial and feature losses by hand, and the two halves of the adversarial step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from codectok.errors import AudioError, CodectokError
from train_codec.adversarial import AdversarialStep
from train_codec.losses import ADVERSARIAL_LOSSES, adversarial_loss, feature_matching

REAL, FAKE = torch.tensor([[2.0, 0.5], [-1.0, 1.0]]), torch.tensor([[-2.0, 0.5], [1.0, 3.0]])


@pytest.mark.parametrize(
    ("kind", "discriminator", "generator"),
    [
        ("hinge", (0 + 0.5 + 2 + 0) / 4 + (0 + 1.5 + 2 + 4) / 4, -2.5 / 4),
        ("saturating_hinge", (0 + 0.5 + 2 + 0) / 4 + (0 + 1.5 + 2 + 4) / 4, (3 + 0.5 + 0 + 0) / 4),
        ("least_squares", (1 + 0.25 + 4 + 0) / 4 + (4 + 0.25 + 1 + 9) / 4, (9 + 0.25 + 0 + 4) / 4),
    ],
)
def test_adversarial_losses_by_hand(kind: str, discriminator: float, generator: float) -> None:
    loss = adversarial_loss(kind)
    assert float(loss.discriminator(REAL, FAKE)) == pytest.approx(discriminator)
    assert float(loss.generator(FAKE)) == pytest.approx(generator)


def test_only_the_saturating_hinge_stops_pulling() -> None:
    for kind, expected in [("hinge", -1.0), ("saturating_hinge", 0.0)]:
        logit = torch.tensor([1.5], requires_grad=True)
        adversarial_loss(kind).generator(logit).backward()
        assert logit.grad is not None
        assert float(logit.grad) == expected


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(CodectokError, match="saturating_hinge"):
        AdversarialStep(nn.Identity(), "wgan")


def maps(*values: float) -> list[Tensor]:
    return [torch.full((2, 3), v) for v in values]


def test_feature_matching_by_hand() -> None:
    real, fake = [maps(2.0, 4.0, 100.0), maps(-1.0, 0.0)], [maps(3.0, 2.0, 0.0), maps(2.0, 9.0)]
    # the logits, last in each list, are left out: |2-3|, |4-2|, |-1-2|
    assert float(feature_matching(real, fake)) == pytest.approx((1 + 2 + 3) / 3)
    assert float(feature_matching(real, fake, relative=True)) == pytest.approx((1 / 2 + 2 / 4 + 3 / 1) / 3)


def test_real_features_get_no_gradient() -> None:
    real, fake = torch.ones(1, 2, requires_grad=True), torch.zeros(1, 2, requires_grad=True)
    feature_matching([[real, real]], [[fake, fake]], relative=True).backward()
    assert real.grad is None
    assert fake.grad is not None


def test_feature_matching_refuses_what_does_not_correspond() -> None:
    with pytest.raises(CodectokError, match="one shape"):
        feature_matching([[torch.zeros(1, 3), torch.zeros(1)]], [[torch.zeros(1, 1), torch.zeros(1)]])
    with pytest.raises(CodectokError, match="none"):
        feature_matching([maps(1.0)], [maps(1.0)])


def test_features_in_bfloat16_are_averaged_in_float32() -> None:
    real, fake = torch.zeros(1, 100_000, dtype=torch.bfloat16), torch.full((1, 100_000), 0.01, dtype=torch.bfloat16)
    loss = feature_matching([[real, real]], [[fake, fake]])
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(0.01, rel=5e-3)


class Toy(nn.Module):
    """Two sub-discriminators of one convolution and a logit each, which notes its calls (with a graph or without)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Conv1d(1, 4, k, padding=k // 2) for k in (3, 5))
        self.last = nn.ModuleList(nn.Conv1d(4, 1, 1) for _ in range(2))
        self.calls: list[bool] = []

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        self.calls.append(torch.is_grad_enabled())
        h = [layer(x[:, None]).tanh() for layer in self.first]
        return [[a, layer(a)] for a, layer in zip(h, self.last, strict=True)]


@pytest.fixture
def audio() -> tuple[Tensor, Tensor, Tensor]:
    """Real audio, a generator's parameter, and the fake audio that depends on it."""
    torch.manual_seed(0)
    gain = torch.tensor(0.5, requires_grad=True)
    return torch.randn(3, 50), gain, gain * torch.randn(3, 50)


@pytest.mark.parametrize("kind", ADVERSARIAL_LOSSES)
def test_generator_step_leaves_no_gradient_on_the_discriminator(kind: str, audio: tuple[Tensor, ...]) -> None:
    real, gain, fake = audio
    real.requires_grad_()
    toy = Toy()
    losses = AdversarialStep(toy, kind).generator_losses(real, fake)
    for name in ("adversarial", "feature"):
        (grad,) = torch.autograd.grad(losses[name], fake, retain_graph=True)
        assert grad.abs().max() > 0, name  # each reaches the waveform
    (losses["adversarial"] + losses["feature"]).backward()
    assert all(p.grad is None for p in toy.parameters())
    assert real.grad is None
    assert gain.grad is not None
    assert all(p.requires_grad for p in toy.parameters())  # thawed again
    assert sorted(toy.calls) == [False, True]  # no graph is built for the real audio


@pytest.mark.parametrize("kind", ADVERSARIAL_LOSSES)
def test_discriminator_step_leaves_no_gradient_on_the_generator(kind: str, audio: tuple[Tensor, ...]) -> None:
    real, gain, fake = audio
    toy = Toy()
    AdversarialStep(toy, kind).discriminator_loss(real, fake).backward()
    assert gain.grad is None
    assert all(p.grad is not None for p in toy.parameters())
    assert toy.calls == [True]  # both in one forward


def test_the_losses_are_those_of_separate_forwards_averaged_over_sub_discriminators(audio: tuple[Tensor, ...]) -> None:
    real, _, fake = audio
    toy = Toy()
    step = AdversarialStep(toy, "least_squares", relative_features=True)
    pair = adversarial_loss("least_squares")
    with torch.no_grad():
        r, f = toy(real), toy(fake)
        expected = sum(float(pair.discriminator(a[-1], b[-1])) for a, b in zip(r, f, strict=True)) / 2
        fooled = sum(float(pair.generator(b[-1])) for b in f) / 2
    assert step.discriminator_loss(real, fake).item() == pytest.approx(expected, rel=1e-5)
    losses = step.generator_losses(real, fake)
    assert losses["adversarial"].item() == pytest.approx(fooled, rel=1e-5)
    assert losses["feature"].item() == pytest.approx(float(feature_matching(r, f, relative=True)), rel=1e-5)


def test_a_parameter_frozen_before_stays_frozen(audio: tuple[Tensor, ...]) -> None:
    real, _, fake = audio
    toy = Toy()
    toy.first.requires_grad_(False)
    AdversarialStep(toy).generator_losses(real, fake)
    assert not any(p.requires_grad for p in toy.first.parameters())
    assert all(p.requires_grad for p in toy.last.parameters())


def test_thawed_even_if_the_discriminator_fails(audio: tuple[Tensor, ...]) -> None:
    toy = Toy()
    with pytest.raises(RuntimeError):
        AdversarialStep(toy).generator_losses(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
    assert all(p.requires_grad for p in toy.parameters())


def test_real_and_fake_of_unlike_length_are_refused(audio: tuple[Tensor, ...]) -> None:
    step = AdversarialStep(Toy())
    for method in (step.discriminator_loss, step.generator_losses):
        with pytest.raises(AudioError, match="one length"):
            method(torch.zeros(1, 10), torch.zeros(1, 11))

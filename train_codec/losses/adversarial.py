"""Adversarial losses on logits of any shape.

Each is the mean over a sub-discriminator's logits; `over_all` then averages over the sub-discriminators, as EnCodec
does. DAC and HiFi-GAN add them up: a weight from there is multiplied by the number of sub-discriminators here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from codectok import registry


def _mean(x: Tensor) -> Tensor:
    return x.mean(dtype=torch.float32)


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """relu(1 - real) + relu(1 + fake): nothing to gain beyond the margin (Lim and Ye 2017)."""
    return _mean((1 - real).relu()) + _mean((1 + fake).relu())


def hinge_generator(fake: Tensor) -> Tensor:
    """-fake: the gradient never fades, whatever the discriminator thinks (EnCodec's released training code)."""
    return -_mean(fake)


def saturating_hinge_generator(fake: Tensor) -> Tensor:
    """relu(1 - fake): no gradient once a logit is above 1 (EnCodec's paper, SoundStream, Vocos)."""
    return _mean((1 - fake).relu())


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """(1 - real)^2 + fake^2 (Mao et al. 2017; HiFi-GAN, DAC)."""
    return _mean((1 - real).square()) + _mean(fake.square())


def least_squares_generator(fake: Tensor) -> Tensor:
    """(1 - fake)^2."""
    return _mean((1 - fake).square())


@dataclass(frozen=True)
class AdversarialLoss:
    """A discriminator's loss (of real and fake logits) and its generator's (of fake logits)."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


HINGE = AdversarialLoss(hinge_discriminator, hinge_generator)
"""The hinge, with a generator whose gradient never fades."""
SATURATING_HINGE = AdversarialLoss(hinge_discriminator, saturating_hinge_generator)
"""The hinge on both sides."""
LEAST_SQUARES = AdversarialLoss(least_squares_discriminator, least_squares_generator)
"""Least squares on both sides."""
ADVERSARIAL_LOSSES: registry.Table[AdversarialLoss] = registry.Table("adversarial_losses")


def adversarial_loss(kind: str) -> AdversarialLoss:
    """The pair of losses called ``kind``.

    Raises:
        UnknownNameError: there is no such pair.
    """
    return ADVERSARIAL_LOSSES[kind]


def over_all(losses: Sequence[Tensor]) -> Tensor:
    """Mean over sub-discriminators."""
    return torch.stack(list(losses)).mean()

"""The two halves of an adversarial training step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from codectok.errors import AudioError
from train_codec.losses.adversarial import adversarial_loss, over_all
from train_codec.losses.feature_matching import feature_matching


@contextmanager
def frozen(module: nn.Module) -> Iterator[nn.Module]:
    """Parameters of ``module`` without gradient meanwhile: graphs built inside never lead to them."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield module
    finally:
        for p in trainable:
            p.requires_grad_(True)


class AdversarialStep:
    """A discriminator and its losses: `discriminator_loss` trains it, `generator_losses` train the codec against it.

    ``kind`` is one of "hinge", "saturating_hinge" and "least_squares" (`train_codec.losses.adversarial`); losses are
    averaged over sub-discriminators and layers. ``relative_features`` selects EnCodec's feature loss. The discriminator
    may be wrapped by DistributedDataParallel. Call both under the autocast of the run: features may be bfloat16 or
    float16, the losses are float32 either way.

    Raises:
        CodectokError: an unknown ``kind``.
    """

    def __init__(self, discriminator: nn.Module, kind: str = "hinge", relative_features: bool = False) -> None:
        self.discriminator = discriminator
        self.loss = adversarial_loss(kind)
        self.relative_features = relative_features

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss of the discriminator on audio [B, S] or [B, 1, S], a float32 scalar; ``fake`` gets no gradient.

        Raises:
            AudioError: real and fake differ in shape, or are too short.
        """
        _check(real, fake)
        # One forward for both: DistributedDataParallel expects one a backward, and no layer mixes items.
        features = self.discriminator(torch.cat([real.detach(), fake.detach().to(real.dtype)]))
        n = len(real)
        return over_all([self.loss.discriminator(maps[-1][:n], maps[-1][n:]) for maps in features])

    def generator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """``adversarial`` and ``feature``, float32 scalars that depend on ``fake`` alone; shapes as above.

        The discriminator is frozen meanwhile and gets no gradient, and its DistributedDataParallel wrapper is passed
        by, as no reduction of its gradients will follow.

        Raises:
            AudioError: real and fake differ in shape, or are too short.
        """
        _check(real, fake)
        plain = self.discriminator
        if isinstance(plain, nn.parallel.DistributedDataParallel):
            plain = plain.module
        with frozen(plain):
            fake_maps = plain(fake)
            with torch.no_grad():
                real_maps = plain(real)
        return {
            "adversarial": over_all([self.loss.generator(maps[-1]) for maps in fake_maps]),
            "feature": feature_matching(real_maps, fake_maps, self.relative_features),
        }


def _check(real: Tensor, fake: Tensor) -> None:
    if real.shape != fake.shape:
        raise AudioError(
            f"real {list(real.shape)} and fake {list(fake.shape)} differ in shape: trim them to one length"
        )

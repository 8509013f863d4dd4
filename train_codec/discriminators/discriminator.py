"""The one form of every discriminator, and what their networks share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from codectok.errors import AudioError

Features = list[list[Tensor]]
"""For each sub-discriminator its feature maps, the last of which are the logits; of any shape, batch first."""


class Discriminator(Protocol):
    """What the training step needs: a module whose forward gives `Features` of audio [B, S] or [B, 1, S]."""

    def __call__(self, x: Tensor) -> Features:
        """Feature maps of every sub-discriminator."""
        ...


def as_mono(x: Tensor, least: int) -> Tensor:
    """Audio [B, S] or [B, 1, S] as [B, S].

    Raises:
        AudioError: another shape, or fewer than ``least`` samples.
    """
    if x.ndim == 3 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim != 2:
        raise AudioError(f"a discriminator reads audio [B, S] or [B, 1, S], not {list(x.shape)}: mix it down to mono")
    if x.shape[1] < least:
        raise AudioError(f"{x.shape[1]} samples are too few for this discriminator: use crops of at least {least}")
    return x


def complex_spectrum(x: Tensor, window: Tensor, hop: int, center: bool = True) -> Tensor:
    """Short-time Fourier transform of [B, S], complex64 [B, F, T], in float32 even under autocast."""
    with torch.autocast(x.device.type, enabled=False):
        return torch.stft(x.float(), len(window), hop, window=window, center=center, return_complex=True)


def as_channels(z: Tensor) -> Tensor:
    """Complex [B, F, T] as real and imaginary channels, float [B, 2, T, F]."""
    return torch.stack([z.real.mT, z.imag.mT], dim=1)


def conv(
    inputs: int,
    outputs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> nn.Conv2d:
    """Weight-normalized 2-D convolution that keeps the size where the stride is 1 (odd kernels)."""
    padding = tuple((k - 1) // 2 * d for k, d in zip(kernel, dilation, strict=True))
    layer: nn.Conv2d = weight_norm(nn.Conv2d(inputs, outputs, kernel, stride, (padding[0], padding[1]), dilation))
    return layer


class CombinedDiscriminator(nn.Module):
    """Several discriminators as one: their sub-discriminators, one after another.

    The adversarial and feature losses then average over all of them alike, so a family with more sub-discriminators
    has more say.
    """

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Features:
        """Feature maps of audio [B, S] or [B, 1, S]."""
        return [maps for part in self.parts for maps in part(x)]

"""A causal codec after the Descript Audio Codec (Kumar et al. 2023): strided convolutions, Snake, factorised codes.

The published model looks ahead (its convolutions are padded on both sides), so that it can neither stream nor be cut
into blocks without changing its codes. Here every convolution is padded on the left: same layers, same cost, but the
codes of the published weights cannot be had from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from codectok.codec.conv import CausalConv, CausalConvTranspose
from codectok.codec.factorised import FactorisedVQ
from codectok.codec.model import CodecModel, State
from codectok.codec.rvq import ResidualVQ
from codectok.codec.seanet import Seanet
from codectok.settings.kinds import Count

DILATIONS = (1, 3, 9)
"""Of the residual units of a stage."""


@dataclass
class DacCodecConfig:
    """Shape of a :class:`DacCodec`; rates and codebooks are those of the published 16 kHz model."""

    sample_rate: Count = 16000
    """Hz."""
    filters: Count = 32
    """Channels at the sample rate; doubled by every downsampling. The published model has 64, and 96 in the decoder."""
    strides: list[Count] = field(default_factory=lambda: [2, 4, 5, 8])
    """Downsampling of the encoder's stages in order; the decoder goes through them backwards."""
    latent_dim: Count = 256
    """Width of the latents."""
    code_dim: Count = 8
    """Width of the code vectors."""
    codebook_sizes: list[Count] = field(default_factory=lambda: [1024] * 12)
    """Codes of each level."""

    @property
    def hop(self) -> int:
        """Samples a code frame."""
        return math.prod(self.strides)


class Snake(nn.Module):
    """x + sin(a x)^2 / a with a learned frequency of each channel (Ziyin et al. 2020; BigVGAN, Lee et al. 2022)."""

    first = 1

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        return torch.addcmul(x, torch.sin(self.alpha * x).square(), 1 / (self.alpha + 1e-9))

    def step(self, x: Tensor, state: None, final: bool) -> tuple[Tensor, None]:
        """[B, T, dim] -> [B, T, dim]; there is no state."""
        return self(x), None


class ResidualUnit(nn.Module):
    """x + conv1x1(snake(dilated conv(snake(x)))); state is the dilated convolution's."""

    first = 1

    def __init__(self, dim: int, dilation: int) -> None:
        super().__init__()
        self.before = Snake(dim)
        self.inner = CausalConv(dim, dim, 7, dilation=dilation)
        self.between = Snake(dim)
        self.outer = nn.Linear(dim, dim)
        with torch.no_grad():  # near the identity: a dozen units must not blow up what goes through them
            self.outer.weight.mul_(0.3)

    def step(self, x: Tensor, state: Tensor | None, final: bool) -> tuple[Tensor, Tensor]:
        """[B, T, dim] -> [B, T, dim]."""
        y, state = self.inner.step(self.before(x), state, final)
        return x + self.outer(self.between(y)), state


def dac_encoder(config: DacCodecConfig) -> Seanet:
    """Samples [B, S, 1] -> latents [B, ceil(S / hop), latent_dim]."""
    width = config.filters
    layers: list[nn.Module] = [CausalConv(1, width, 7)]
    for stride in config.strides:
        layers += [ResidualUnit(width, dilation) for dilation in DILATIONS]
        layers += [Snake(width), CausalConv(width, 2 * width, 2 * stride, stride)]
        width *= 2
    layers += [Snake(width), CausalConv(width, config.latent_dim, 3)]
    return Seanet(layers, config.hop, 4 * config.filters * config.hop)


def dac_decoder(config: DacCodecConfig) -> Seanet:
    """Latents [B, T, latent_dim] -> samples [B, T * hop, 1]."""
    width = config.filters * 2 ** len(config.strides)
    layers: list[nn.Module] = [CausalConv(config.latent_dim, width, 7)]
    for stride in reversed(config.strides):
        layers += [Snake(width), CausalConvTranspose(width, width // 2, 2 * stride, stride)]
        width //= 2
        layers += [ResidualUnit(width, dilation) for dilation in DILATIONS]
    layers += [Snake(width), CausalConv(width, 1, 7)]
    return Seanet(layers, 1, 4 * config.filters * config.hop)


class DacCodec(CodecModel):
    """Encoder, factorised residual quantizer and decoder."""

    quantizer: FactorisedVQ
    config_class = DacCodecConfig

    def __init__(self, config: DacCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate, self.frame_size, self.latent_dim = config.sample_rate, config.hop, config.latent_dim
        self.codebook_sizes = tuple(config.codebook_sizes)
        self.encoder = dac_encoder(config)
        self.quantizer = FactorisedVQ(config.latent_dim, config.codebook_sizes, config.code_dim)
        self.decoder = dac_decoder(config)

    def num_frames(self, num_samples: int) -> int:
        """ceil(num_samples / frame_size)."""
        return -(-num_samples // self.frame_size)

    def residual_quantizers(self) -> list[tuple[ResidualVQ, Callable[[Tensor], Tensor]]]:
        """None: its codebooks are factorised."""
        return []

    def encode_step(self, x: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Samples [B, S] -> latents [B, T, D]; see :class:`CodecModel`."""
        return self.encoder.step(x.unsqueeze(2), state, final)

    def decode_step(self, z: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Quantized latents [B, T, D] -> samples [B, T * frame_size] between -1 and 1."""
        y, state = self.decoder.step(z, state, final)
        return y.squeeze(2).tanh(), state

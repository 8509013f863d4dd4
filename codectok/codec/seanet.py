"""SEANet: the convolutional encoder and decoder of EnCodec and Mimi (Tagliasacchi et al. 2020; Defossez et al. 2022).

Audio [B, S, 1] to features [B, S / hop, dim] and back, causal, block by block. Each is a plain list of layers in the
order of the computation; the activations are part of the convolutions that follow them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.codec.conv import CausalConv, CausalConvTranspose, may_overwrite
from codectok.codec.lstm import SkipLstm
from codectok.settings.kinds import Count, Natural

State = list[Any]
PART_BYTES = 12_000_000
"""Longer or broader blocks run in parts whose activations are at most so big: they stay in cache, in reused memory."""
KEPT_BYTES = 31_000_000
"""Freed once, a buffer of this size (the limit is 32 MiB) teaches glibc to keep as much, rather than to give it back
after every layer, to be cleared and mapped anew by the kernel: a tenth of the time."""


class Layer(Protocol):
    """What every layer of a SEANet is."""

    first: int
    """Input frames that the first block must hold, unless it is the final one."""

    def step(self, x: Tensor, state: Any, final: bool) -> tuple[Tensor, Any]:
        """One block [B, T, C] and the state left by the last one -> the layer's output and its next state."""


@dataclass
class SeanetConfig:
    """Shape of a SEANet encoder and decoder; the defaults are EnCodec's at 24 kHz."""

    sample_rate: Count = 24000
    """Hz."""
    dim: Count = 128
    """Channels of the encoder's output and the decoder's input."""
    filters: Count = 32
    """Channels at the sample rate; doubled by every downsampling."""
    ratios: list[Count] = field(default_factory=lambda: [8, 5, 4, 2])
    """Upsampling ratios in the decoder's order; the encoder goes through them backwards."""
    kernel: Count = 7
    """Frames of the first convolution's kernel."""
    last_kernel: Count = 7
    """Frames of the last convolution's kernel."""
    residual_kernel: Count = 3
    """Frames of the kernel in residual blocks."""
    residual_layers: Count = 1
    """Residual blocks a ratio."""
    dilation_growth: Count = 2
    """Residual block j of a ratio is dilated by this to the power j."""
    compress: Count = 2
    """Residual blocks are this much narrower inside."""
    conv_shortcut: bool = True
    """Whether the skip of a residual block is a 1x1 convolution, or the identity."""
    lstm_layers: Natural = 2
    """LSTM layers at the feature rate; 0 for none."""
    pad_mode: Literal["constant", "reflect", "replicate"] = "reflect"
    """Padding of the convolutions: "constant", "reflect" or "replicate"."""

    @property
    def hop(self) -> int:
        """Samples a feature frame."""
        return math.prod(self.ratios)


class ResidualBlock(nn.Module):
    """shortcut(x) + conv1x1(ELU(conv(ELU(x)))); state is the inner convolution's."""

    def __init__(self, config: SeanetConfig, dim: int, dilation: int) -> None:
        super().__init__()
        hidden, kernel = dim // config.compress, config.residual_kernel
        self.inner = CausalConv(dim, hidden, kernel, dilation=dilation, pad_mode=config.pad_mode, elu=True)
        self.outer = nn.Linear(hidden, dim)
        self.shortcut = nn.Linear(dim, dim) if config.conv_shortcut else None
        self.first = self.inner.first

    def step(self, x: Tensor, state: Tensor | None, final: bool) -> tuple[Tensor, Tensor]:
        """[B, T, dim] -> [B, T, dim]."""
        inner, state = self.inner.step(x, state, final)
        if not may_overwrite(x):
            return (x if self.shortcut is None else self.shortcut(x)) + self.outer(F.elu(inner)), state
        if self.shortcut is None:
            return self.outer(F.elu_(inner)).add_(x), state
        y = F.linear(F.elu_(inner), self.outer.weight, self.outer.bias + self.shortcut.bias)
        y.flatten(0, 1).addmm_(x.flatten(0, 1), self.shortcut.weight.T)
        return y, state


class Seanet(nn.Module):
    """Layers run one after another; state is the list of theirs.

    Args:
        layers: in order.
        rate: input frames a feature frame: the hop for an encoder, 1 for a decoder.
        frame_bytes: size of the widest activation of one feature frame.
    """

    def __init__(self, layers: Sequence[Any], rate: int, frame_bytes: int) -> None:
        super().__init__()
        torch.empty(KEPT_BYTES, dtype=torch.uint8)
        self.layers = nn.ModuleList(layers)
        self.rate, self.frame_bytes = rate, frame_bytes
        self.first_frames = 1
        for layer in layers:
            self.first_frames = max(self.first_frames, -(-layer.first // rate))
            if isinstance(layer, CausalConvTranspose):
                rate *= layer.stride
            elif isinstance(layer, CausalConv):
                rate //= layer.stride

    def step(self, x: Tensor, state: State | None, final: bool) -> tuple[Tensor, State]:
        """One block. Encoder: [B, S, 1] -> [B, ceil(S / hop), dim]. Decoder: [B, T, dim] -> [B, T * hop, 1].

        An encoder takes multiples of the hop, but for the final block; the first block holds at least ``first_frames``
        feature frames, unless it is final.
        """
        frames = max(self.first_frames, PART_BYTES // (self.frame_bytes * max(1, len(x))))
        if torch.is_grad_enabled() or x.shape[1] <= frames * self.rate:
            return self._run(x, state, final)
        parts, done = [], 0
        for part in x.split(frames * self.rate, 1):
            done += part.shape[1]
            y, state = self._run(part, state, final and done == x.shape[1])
            parts.append(y)
        return torch.cat(parts, 1), state or []

    def _run(self, x: Tensor, state: State | None, final: bool) -> tuple[Tensor, State]:
        after = []
        for layer, past in zip(cast(Iterable[Layer], self.layers), state or [None] * len(self.layers), strict=True):
            x, past = layer.step(x, past, final)
            after.append(past)
        return x, after


def seanet_encoder(config: SeanetConfig) -> Seanet:
    """Samples [B, S, 1] -> features [B, ceil(S / hop), dim]."""
    width, pad = config.filters, config.pad_mode
    layers: list[nn.Module] = [CausalConv(1, width, config.kernel, pad_mode=pad)]
    for ratio in reversed(config.ratios):
        layers += _residual_blocks(config, width)
        layers.append(CausalConv(width, 2 * width, 2 * ratio, ratio, pad_mode=pad, elu=True))
        width *= 2
    if config.lstm_layers:
        layers.append(SkipLstm(width, config.lstm_layers))
    layers.append(CausalConv(width, config.dim, config.last_kernel, pad_mode=pad, elu=True))
    return Seanet(layers, config.hop, 4 * config.filters * config.hop)


def seanet_decoder(config: SeanetConfig) -> Seanet:
    """Features [B, T, dim] -> samples [B, T * hop, 1]."""
    width, pad = config.filters * 2 ** len(config.ratios), config.pad_mode
    layers: list[nn.Module] = [CausalConv(config.dim, width, config.kernel, pad_mode=pad)]
    if config.lstm_layers:
        layers.append(SkipLstm(width, config.lstm_layers))
    for ratio in config.ratios:
        width //= 2
        layers.append(CausalConvTranspose(2 * width, width, 2 * ratio, ratio, elu=True))
        layers += _residual_blocks(config, width)
    layers.append(CausalConv(width, 1, config.last_kernel, pad_mode=pad, elu=True))
    return Seanet(layers, 1, 4 * config.filters * config.hop)


def _residual_blocks(config: SeanetConfig, dim: int) -> list[ResidualBlock]:
    return [ResidualBlock(config, dim, config.dilation_growth**j) for j in range(config.residual_layers)]

"""SEANet: the convolutional encoder and decoder of EnCodec and Mimi (Tagliasacchi et al. 2020; Defossez et al. 2022).

Audio [B, S, 1] to features [B, S / hop, dim] and back, causal, block by block. Layer names follow the order of the
computation; :mod:`codectok.codec.hf` knows which layer of a transformers checkpoint each one is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.codec.conv import CausalConv, CausalConvTranspose
from codectok.codec.lstm import SkipLstm

State = list[Any]


@dataclass
class SeanetConfig:
    """Shape of a SEANet encoder and decoder; the defaults are EnCodec's at 24 kHz."""

    sample_rate: int = 24000
    """Hz."""
    dim: int = 128
    """Channels of the encoder's output and the decoder's input."""
    filters: int = 32
    """Channels at the sample rate; doubled by every downsampling."""
    ratios: list[int] = field(default_factory=lambda: [8, 5, 4, 2])
    """Upsampling ratios in the decoder's order; the encoder goes through them backwards."""
    kernel: int = 7
    """Frames of the first convolution's kernel."""
    last_kernel: int = 7
    """Frames of the last convolution's kernel."""
    residual_kernel: int = 3
    """Frames of the kernel in residual blocks."""
    residual_layers: int = 1
    """Residual blocks a ratio."""
    dilation_growth: int = 2
    """Residual block j of a ratio is dilated by this to the power j."""
    compress: int = 2
    """Residual blocks are this much narrower inside."""
    conv_shortcut: bool = True
    """Whether the skip of a residual block is a 1x1 convolution, or the identity."""
    lstm_layers: int = 2
    """LSTM layers at the feature rate; 0 for none."""
    pad_mode: str = "reflect"
    """Padding of the convolutions: "constant", "reflect" or "replicate"."""

    @property
    def hop(self) -> int:
        """Samples a feature frame."""
        return math.prod(self.ratios)


class ResidualBlock(nn.Module):
    """shortcut(x) + conv1x1(ELU(conv(ELU(x))))."""

    def __init__(self, config: SeanetConfig, dim: int, dilation: int) -> None:
        super().__init__()
        hidden = dim // config.compress
        self.inner = CausalConv(
            dim, hidden, config.residual_kernel, dilation=dilation, pad_mode=config.pad_mode, elu=True
        )
        self.outer = nn.Linear(hidden, dim)
        self.shortcut = nn.Linear(dim, dim) if config.conv_shortcut else None

    def step(self, x: Tensor, state: Tensor | None, final: bool) -> tuple[Tensor, Tensor]:
        """[B, T, dim] -> [B, T, dim]."""
        inner, state = self.inner.step(x, state, final)
        if torch.is_grad_enabled():
            return (x if self.shortcut is None else self.shortcut(x)) + self.outer(F.elu(inner)), state
        y = self.outer(F.elu_(inner))
        if self.shortcut is None:
            return y.add_(x), state
        y.add_(self.shortcut.bias)
        y.flatten(0, 1).addmm_(x.flatten(0, 1), self.shortcut.weight.T)
        return y, state


class SeanetEncoder(nn.Module):
    """Samples [B, S, 1] -> features [B, S / hop, dim]."""

    def __init__(self, config: SeanetConfig) -> None:
        super().__init__()
        width = config.filters
        self.input = CausalConv(1, width, config.kernel, pad_mode=config.pad_mode)
        self.blocks = nn.ModuleList()
        self.down = nn.ModuleList()
        for ratio in reversed(config.ratios):
            self.blocks.append(_residual_blocks(config, width))
            down = CausalConv(width, 2 * width, 2 * ratio, ratio, pad_mode=config.pad_mode, elu=True)
            self.down.append(down)
            width *= 2
        self.lstm = SkipLstm(width, config.lstm_layers) if config.lstm_layers else None
        self.output = CausalConv(width, config.dim, config.last_kernel, pad_mode=config.pad_mode, elu=True)
        self.first_frames = _first_frames(self, config.hop)

    def step(self, x: Tensor, state: State | None, final: bool) -> tuple[Tensor, State]:
        """[B, S, 1] -> [B, ceil(S / hop), dim]; S a multiple of the hop, but for the final block."""
        states = _States(state)
        x = states.run(self.input, x, final)
        for blocks, down in zip(self.blocks, self.down, strict=True):
            for block in blocks:
                x = states.run(block, x, final)
            x = states.run(down, x, final)
        if self.lstm is not None:
            x = states.run(self.lstm, x)
        return states.run(self.output, x, final), states.after


class SeanetDecoder(nn.Module):
    """Features [B, T, dim] -> samples [B, T * hop, 1]."""

    def __init__(self, config: SeanetConfig) -> None:
        super().__init__()
        width = config.filters * 2 ** len(config.ratios)
        self.input = CausalConv(config.dim, width, config.kernel, pad_mode=config.pad_mode)
        self.lstm = SkipLstm(width, config.lstm_layers) if config.lstm_layers else None
        self.up = nn.ModuleList()
        self.blocks = nn.ModuleList()
        for ratio in config.ratios:
            self.up.append(CausalConvTranspose(width, width // 2, 2 * ratio, ratio, elu=True))
            width //= 2
            self.blocks.append(_residual_blocks(config, width))
        self.output = CausalConv(width, 1, config.last_kernel, pad_mode=config.pad_mode, elu=True)
        self.first_frames = _first_frames(self, config.hop)

    def step(self, z: Tensor, state: State | None, final: bool) -> tuple[Tensor, State]:
        """[B, T, dim] -> [B, T * hop, 1]."""
        states = _States(state)
        x = states.run(self.input, z, final)
        if self.lstm is not None:
            x = states.run(self.lstm, x)
        for up, blocks in zip(self.up, self.blocks, strict=True):
            x = states.run(up, x)
            for block in blocks:
                x = states.run(block, x, final)
        return states.run(self.output, x, final), states.after


class _States:
    """Hands each layer its state in the order of the computation, and collects the next ones."""

    def __init__(self, before: State | None) -> None:
        self.before = before
        self.after: State = []

    def run(self, layer: Any, x: Tensor, *final: bool) -> Tensor:
        state = None if self.before is None else self.before[len(self.after)]
        y, state = layer.step(x, state, *final)
        self.after.append(state)
        return y


def _residual_blocks(config: SeanetConfig, dim: int) -> nn.ModuleList:
    dilations = [config.dilation_growth**j for j in range(config.residual_layers)]
    return nn.ModuleList(ResidualBlock(config, dim, dilation) for dilation in dilations)


def _first_frames(model: SeanetEncoder | SeanetDecoder, hop: int) -> int:
    """Feature frames that the first block must hold so that every layer sees the frames it reflects."""
    resample = model.down if isinstance(model, SeanetEncoder) else model.up
    encoding = isinstance(model, SeanetEncoder)
    rate = hop if encoding else 1
    needs = [(model.input.first, rate)]
    for blocks, layer in zip(model.blocks, resample, strict=True):
        if not encoding:
            rate *= layer.stride
        needs += [(block.inner.first, rate) for block in blocks]
        if encoding:
            needs.append((layer.first, rate))
            rate //= layer.stride
    needs.append((model.output.first, rate))
    return max(-(-first // rate) for first, rate in needs)

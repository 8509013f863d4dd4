"""The convolutional front end of HuBERT and its kin, as matrix products on short blocks of time.

On a CPU these seven convolutions cost as much as seven transformer blocks. They are local, so they are run on blocks
whose activations stay in cache, with channels last, where each is one matrix product.

The "base" models have a group norm after the first convolution, one group a channel, over all of the time: for them an
output depends on the whole utterance. But that convolution has one input channel and k = 10 taps w, so the statistics
over time of its output ``w . x[t]`` follow from the mean m and covariance C of the patches x[t] of samples:
mean ``w . m``, variance ``w . C w``. They are computed first, in float64, and the norm becomes part of the convolution.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.units.encoders.onednn import PackedLinear, available, is_gelu

BLOCK = 32
"""Frames of a block."""

POSITIONS_BLOCK = 200
"""The same, of the convolution that encodes positions."""


class ConvStack:
    """``model.feature_extractor``, equal to it up to rounding.

    Args:
        conv_layers: of the model: each with ``conv``, ``activation`` and perhaps ``layer_norm``.
    """

    def __init__(self, conv_layers: Any) -> None:
        packed = available()
        self.layers = [_Layer(layer, packed) for layer in conv_layers]
        self.hop, self.field = 1, 1
        for layer in self.layers:
            self.field += (layer.kernel - 1) * self.hop
            self.hop *= layer.stride

    def __call__(self, samples: Tensor) -> Tensor:
        """Float [S] -> [T, C] with ``T = floor((S - field) / hop) + 1``; S is at least ``field``."""
        frames = (len(samples) - self.field) // self.hop + 1
        folded = self.layers[0].folded(samples)
        out = torch.empty(frames, len(self.layers[-1].weight))
        for start in range(0, frames, BLOCK):
            stop = min(start + BLOCK, frames)
            x = samples[start * self.hop : (stop - 1) * self.hop + self.field, None]
            for layer in (folded, *self.layers[1:]):
                x = layer(x)
            out[start:stop] = x
        return out


class _Layer:
    """Convolution, norm, activation on [T, C]."""

    def __init__(self, layer: Any, packed: bool) -> None:
        conv: nn.Conv1d = layer.conv
        self.kernel, self.stride = conv.kernel_size[0], conv.stride[0]
        self.norm: nn.Module | None = getattr(layer, "layer_norm", None)
        self.activation: nn.Module | None = layer.activation
        self.bias = None if conv.bias is None else conv.bias.detach()
        self.weight = conv.weight.detach().permute(0, 2, 1).flatten(1)
        self._packed: PackedLinear | None = None
        # The first convolution's products are too short to gain, and its weights change with every utterance.
        if packed and conv.in_channels > 1:
            fused = self.norm is None and is_gelu(layer.activation)
            self._packed = PackedLinear(self.weight, self.bias, fused)
            self.activation = None if fused else layer.activation

    def __call__(self, x: Tensor) -> Tensor:
        rows, channels = (len(x) - self.kernel) // self.stride + 1, x.shape[1]
        view = x.as_strided((rows, self.kernel * channels), (self.stride * channels, 1)).contiguous()
        y = F.linear(view, self.weight, self.bias) if self._packed is None else self._packed(view)
        y = y if self.norm is None else self.norm(y)
        return y if self.activation is None else self.activation(y)

    def folded(self, samples: Tensor) -> _Layer:
        """This layer with its group norm's statistics over ``samples`` folded into the weights."""
        if not isinstance(self.norm, nn.GroupNorm):
            return self
        patches = samples.double().unfold(0, self.kernel, self.stride)
        mean = patches.mean(0)
        covariance = patches.mT @ patches / len(patches) - torch.outer(mean, mean)
        weight = self.weight.double()
        scale = (((weight @ covariance) * weight).sum(1).clamp_min(0) + self.norm.eps).rsqrt() * self.norm.weight
        same = copy.copy(self)
        same.norm, same.weight = None, (weight * scale[:, None]).float()
        # The norm takes a bias of the convolution away again.
        same.bias = (self.norm.bias - weight @ mean * scale).float()
        return same


class BlockedPositions(nn.Module):
    """The convolution that encodes positions, on blocks of time: equal to the model's own, whose input it pads.

    Args:
        conv: of an even kernel k and padding k / 2, behind which the model drops the last frame.
    """

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        self.conv = conv
        self.side = conv.kernel_size[0] // 2

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T] -> [B, C, T + 1], the last frame being of no use."""
        frames, conv = x.shape[2], self.conv
        padded = F.pad(x, (self.side, self.side))
        pieces = [
            F.conv1d(piece, conv.weight, conv.bias, groups=conv.groups)
            for start in range(0, frames + 1, POSITIONS_BLOCK)
            for piece in [padded[:, :, start : min(start + POSITIONS_BLOCK, frames + 1) + 2 * self.side - 1]]
        ]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, 2)


def block_positions(embedding: Any) -> None:
    """Have a model's ``pos_conv_embed`` work in blocks, if it is one convolution of an even kernel."""
    conv = getattr(embedding, "conv", None)
    if isinstance(conv, nn.Conv1d) and conv.kernel_size[0] % 2 == 0 and conv.padding == (conv.kernel_size[0] // 2,):
        embedding.conv = BlockedPositions(conv)

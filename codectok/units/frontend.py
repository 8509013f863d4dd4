"""The convolutional front end of HuBERT and its kin, as matrix products on short blocks of time.

On a CPU these seven convolutions cost as much as seven transformer blocks. They are local, so they are run on blocks
whose activations stay in cache, with channels last, where each is one or two matrix products on views of its input.

The "base" models have a group norm after the first convolution, one group a channel, over all of the time: for them an
output depends on the whole utterance. But that convolution has one input channel and k = 10 taps w, so the statistics
over time of its output ``w . x[t]`` follow from the mean m and covariance C of the patches x[t] of samples:
mean ``w . m``, variance ``w . C w``. They are computed first, in float64, and the norm becomes part of the convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

BLOCK = 32
"""Frames of a block."""


class ConvStack:
    """``model.feature_extractor``, equal to it up to rounding.

    Args:
        conv_layers: of the model: each with ``conv``, ``activation`` and perhaps ``layer_norm``.
    """

    def __init__(self, conv_layers: Any) -> None:
        self.layers = [_Layer(layer) for layer in conv_layers]
        self.hop, self.field = 1, 1
        for layer in self.layers:
            self.field += (layer.kernel - 1) * self.hop
            self.hop *= layer.stride

    def __call__(self, samples: Tensor) -> Tensor:
        """Float [S] -> [T, C] with ``T = floor((S - field) / hop) + 1``; S is at least ``field``."""
        frames = (len(samples) - self.field) // self.hop + 1
        folded = self.layers[0].folded(samples)
        out = torch.empty(frames, self.layers[-1].weights[0].shape[1])
        for start in range(0, frames, BLOCK):
            stop = min(start + BLOCK, frames)
            x = samples[start * self.hop : (stop - 1) * self.hop + self.field, None]
            for layer in (folded, *self.layers[1:]):
                x = layer(x)
            out[start:stop] = x
        return out


class _Layer:
    """Convolution, norm, activation on [T, C]."""

    def __init__(self, layer: Any) -> None:
        conv: nn.Conv1d = layer.conv
        self.kernel, self.stride = conv.kernel_size[0], conv.stride[0]
        self.norm: nn.Module | None = getattr(layer, "layer_norm", None)
        self.activation = layer.activation
        self.bias = None if conv.bias is None else conv.bias.detach()
        self._by_taps(conv.weight.detach().permute(2, 1, 0))

    def _by_taps(self, weight: Tensor) -> None:
        """Weight [kernel, C, out] in pieces of at most ``stride`` taps.

        A row of the input's view then overlaps no other, as BLAS asks; of one channel the view is copied, it is small.
        """
        taps = self.kernel if weight.shape[1] == 1 else self.stride
        self.weights = [piece.reshape(-1, weight.shape[2]).contiguous() for piece in weight.split(taps)]

    def __call__(self, x: Tensor) -> Tensor:
        rows, channels = (len(x) - self.kernel) // self.stride + 1, x.shape[1]
        out: Tensor | None = None
        for i, weight in enumerate(self.weights):
            start = x.storage_offset() + i * self.stride * channels
            view = x.as_strided((rows, len(weight)), (self.stride * channels, 1), start)
            if out is not None:
                out.addmm_(view, weight)
            else:
                out = view @ weight if self.bias is None else torch.addmm(self.bias, view, weight)
        assert out is not None
        return self.activation(out if self.norm is None else self.norm(out))

    def folded(self, samples: Tensor) -> _Layer:
        """This layer with its group norm's statistics over ``samples`` folded into the weights."""
        if not isinstance(self.norm, nn.GroupNorm):
            return self
        patches = samples.double().unfold(0, self.kernel, self.stride)
        mean = patches.mean(0)
        covariance = patches.mT @ patches / len(patches) - torch.outer(mean, mean)
        weight = self.weights[0].double()
        scale = (((covariance @ weight) * weight).sum(0).clamp_min(0) + self.norm.eps).rsqrt() * self.norm.weight
        # The norm takes a bias of the convolution away again.
        same = object.__new__(_Layer)
        same.kernel, same.stride, same.activation, same.norm = self.kernel, self.stride, self.activation, None
        same.weights = [(weight * scale).float()]
        same.bias = (self.norm.bias - mean @ weight * scale).float()
        return same

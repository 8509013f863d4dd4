"""Causal ConvNeXt blocks on [B, T, C] (Liu et al. 2022, as used for audio by Vocos, Siuzdak 2023)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.codec.layers import Layers


class CausalDepthwise(nn.Module):
    """Causal depthwise convolution over time; state is the last ``kernel - 1`` frames [B, kernel - 1, C]."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dim, 1, 1, kernel) * kernel**-0.5)
        self.bias = nn.Parameter(torch.zeros(dim))

    def step(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """[B, T, C] -> [B, T, C]."""
        past = self.weight.shape[-1] - 1
        if state is None:
            state = x.new_zeros(x.shape[0], past, x.shape[2])
        joined = torch.cat([state.to(x.dtype), x], 1)
        # As a channels-last image of height 1 this takes oneDNN's fast depthwise kernel: 10x conv1d's speed.
        y = F.conv2d(joined.transpose(1, 2).unsqueeze(2), self.weight, self.bias, groups=x.shape[2])
        return y.squeeze(2).transpose(1, 2), joined[:, joined.shape[1] - past :]


class ConvNextBlock(nn.Module):
    """x + scale * MLP(LayerNorm(depthwise(x)))."""

    def __init__(self, dim: int, kernel: int = 7, expansion: float = 3.0, scale: float = 0.1) -> None:
        super().__init__()
        hidden = int(dim * expansion)
        self.depthwise = CausalDepthwise(dim, kernel)
        self.norm = nn.LayerNorm(dim)
        self.inner = nn.Linear(dim, hidden)
        self.outer = nn.Linear(hidden, dim)
        self.scale = nn.Parameter(torch.full((dim,), scale))

    def step(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """[B, T, C] -> [B, T, C], with the depthwise convolution's state."""
        y, state = self.depthwise.step(x, state)
        y = self.outer(F.gelu(self.inner(self.norm(y)), approximate="tanh"))
        return x + self.scale * y, state


class ConvNextStack(nn.Module):
    """A run of ConvNeXt blocks; state is the list of theirs."""

    def __init__(self, dim: int, depth: int, kernel: int = 7, expansion: float = 3.0) -> None:
        super().__init__()
        self.blocks = Layers(ConvNextBlock(dim, kernel, expansion) for _ in range(depth))

    def step(self, x: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """[B, T, C] -> [B, T, C]."""
        after = []
        for i, block in enumerate(self.blocks):
            x, carried = block.step(x, None if state is None else state[i])
            after.append(carried)
        return x, after

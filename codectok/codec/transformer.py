"""The causal transformer of Mimi (Defossez et al. 2024, section 3.3.1), block by block.

Pre-norm layers with rotary positions (Su et al. 2021), a sliding attention window, and layer scale (Touvron et al.
2021). The state is bounded: each layer keeps the keys and values of the last ``window - 1`` frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = dict[str, Any]
Rotation = tuple[Tensor, Tensor]
"""Cosines and sines [B, T, 1, 1, D] of the rotary angles of each frame and channel."""


class Attention(nn.Module):
    """Multi-head self-attention; state is the keys (rotated) and values of past frames [B, P, 2, heads, D]."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    def step(self, x: Tensor, past: Tensor | None, rotation: Rotation, mask: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, dim] -> [B, T, dim]; ``mask`` bool [T, P + T], true where a frame may look."""
        batch, frames, dim = x.shape
        qkv = self.qkv(x).view(batch, frames, 3, self.heads, dim // self.heads)
        rotated = rotate(qkv[:, :, :2], *rotation)
        kv = torch.stack([rotated[:, :, 1], qkv[:, :, 2]], 2)
        if past is not None:
            kv = torch.cat([past, kv], 1)
        query, key, value = (t.transpose(1, 2) for t in (rotated[:, :, 0], kv[:, :, 0], kv[:, :, 1]))
        y = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        y = self.output(y.transpose(1, 2).reshape(batch, frames, dim))
        return y, kv[:, max(0, kv.shape[1] - self.window + 1) :]


class TransformerLayer(nn.Module):
    """x + scale * attention(norm(x)), then x + scale * MLP(norm(x))."""

    def __init__(self, dim: int, heads: int, hidden: int, window: int, eps: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim, eps)
        self.attention = Attention(dim, heads, window)
        self.attention_scale = nn.Parameter(torch.full((dim,), 0.01))
        self.mlp_norm = nn.LayerNorm(dim, eps)
        self.inner = nn.Linear(dim, hidden, bias=False)
        self.outer = nn.Linear(hidden, dim, bias=False)
        self.mlp_scale = nn.Parameter(torch.full((dim,), 0.01))

    def step(self, x: Tensor, past: Tensor | None, rotation: Rotation, mask: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, dim] -> [B, T, dim]."""
        y, past = self.attention.step(self.attention_norm(x), past, rotation, mask)
        x = torch.addcmul(x, self.attention_scale, y)
        y = self.outer(F.gelu(self.inner(self.mlp_norm(x))))
        return torch.addcmul(x, self.mlp_scale, y), past


class CausalTransformer(nn.Module):
    """A stack of layers; its state is ``position`` int64 [B] (frames seen) and ``past`` (of each layer).

    Args:
        dim: width.
        layers: how many.
        heads: attention heads, each of ``dim / heads`` channels.
        hidden: width inside the MLPs.
        window: frames that a frame sees, itself included.
        theta: base of the rotary frequencies.
        eps: of the layer norms.
    """

    def __init__(
        self, dim: int, layers: int, heads: int, hidden: int, window: int, theta: float = 10000.0, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.window, self.head_dim, self.theta = window, dim // heads, theta
        self.layers = nn.ModuleList(TransformerLayer(dim, heads, hidden, window, eps) for _ in range(layers))

    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """[B, T, dim] -> [B, T, dim]."""
        batch, frames, _ = x.shape
        if state is None:
            start = torch.zeros(batch, dtype=torch.int64, device=x.device)
            state = {"position": start, "past": [None] * len(self.layers)}
        if frames == 0:
            return x, state
        known = 0 if state["past"][0] is None else state["past"][0].shape[1]
        rotation = self._rotation(state["position"], frames, x.dtype)
        mask = window_mask(frames, known, self.window, x.device)
        after = []
        for layer, past in zip(cast(Iterable[TransformerLayer], self.layers), state["past"], strict=True):
            x, past = layer.step(x, past, rotation, mask)
            after.append(past)
        return x, {"position": state["position"] + frames, "past": after}

    def _rotation(self, position: Tensor, frames: int, dtype: torch.dtype) -> Rotation:
        """The rotation of frames ``position`` [B] and on."""
        exponents = torch.arange(0, self.head_dim, 2, dtype=torch.float32, device=position.device) / self.head_dim
        times = position[:, None] + torch.arange(frames, device=position.device)
        angles = times[..., None].float() * (1.0 / self.theta**exponents)
        angles = torch.cat([angles, angles], -1)[:, :, None, None]
        return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary position embedding of [..., D]: channel i turns with channel i + D / 2."""
    first, second = x.chunk(2, -1)
    return x * cosine + torch.cat([-second, first], -1) * sine


def window_mask(frames: int, known: int, window: int, device: torch.device) -> Tensor:
    """Bool [frames, known + frames]: frame i, after ``known`` others, sees itself and ``window - 1`` before it."""
    back = (torch.arange(frames, device=device)[:, None] + known) - torch.arange(known + frames, device=device)
    return (back >= 0) & (back < window)

"""Perceiver resampler: a fixed number of latents cross-attends to the frames (Flamingo, Alayrac et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codectok.llm.continuous.projector import Projector, ProjectorConfig, sinusoids
from codectok.llm.continuous.qformer import check_heads


@dataclass(frozen=True)
class ResamplerConfig(ProjectorConfig):
    """Options of :class:`PerceiverResampler`.

    Attributes:
        latents: soft tokens of a clip (Flamingo: 64).
        dim: width inside.
        depth: layers; 1 is plain cross-attention with a feed-forward network.
        heads: of attention.
        feedforward: width inside the feed-forward networks; None for 4 dim.
        positions: add each frame's place in time.
    """

    latents: int = 64
    dim: int = 768
    depth: int = 2
    heads: int = 12
    feedforward: int | None = None
    positions: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.dim, self.heads)


class PerceiverResampler(Projector):
    """``z += Attn(z; [x, z])``, ``z += FF(z)``, norms before (algorithm 1 of Flamingo's appendix)."""

    Config = ResamplerConfig

    def __init__(self, in_dim: int, out_dim: int, config: ResamplerConfig | None = None) -> None:
        super().__init__(in_dim, out_dim, config)
        c = self.config
        self.latents = nn.Parameter(torch.randn(c.latents, c.dim) * 0.02)
        self.inlet = nn.Linear(in_dim, c.dim)
        self.layers = nn.ModuleList(_Layer(c.dim, c.heads, c.feedforward or 4 * c.dim) for _ in range(c.depth))
        self.outlet = nn.Sequential(nn.LayerNorm(c.dim), nn.Linear(c.dim, out_dim))

    def out_length(self, frames: int) -> int:
        """The latents, whatever T; 0 without audio."""
        return self.config.latents * min(frames, 1)

    def _project(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.inlet(x)
        if self.config.positions:
            x = x + sinusoids(x.shape[1], x.shape[2], x)
        z = self.latents.expand(len(x), -1, -1)
        for layer in self.layers:
            z = layer(z, x, mask)
        return self.outlet(z)


class _Layer(nn.Module):
    def __init__(self, dim: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.norm_x, self.norm_z = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, feedforward), nn.GELU(), nn.Linear(feedforward, dim)
        )

    def forward(self, z: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        q = self.norm_z(z)
        keys = torch.cat([self.norm_x(x), q], 1)
        unseen = nn.functional.pad(~mask, (0, z.shape[1]))  # latents are always seen, so no row is all masked
        z = z + self.attention(q, keys, keys, key_padding_mask=unseen, need_weights=False)[0]
        return z + self.feedforward(z)

"""Q-Former: learned queries read the audio by cross-attention (BLIP-2, Li et al. 2023), globally or by windows.

Global queries give the same number of soft tokens whatever the length. Windowed queries (SALMONN, Tang et al. 2024:
one query for 17 frames, a third of a second; Granite-speech: three for 15) keep the order of time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codectok.errors import CodectokError
from codectok.llm.continuous.projector import Projector, ProjectorConfig, group_frames, grouped_length, sinusoids


@dataclass(frozen=True)
class QFormerConfig(ProjectorConfig):
    """Options of :class:`QFormer`.

    Attributes:
        queries: soft tokens of a clip (SLAM-ASR's Q-Former: 64; X-InstructBLIP: 32), or of a window.
        window: frames of a window; None for one window, the clip.
        dim: width inside.
        depth: layers (SALMONN: 2).
        heads: of attention.
        feedforward: width inside the feed-forward networks; None for 4 dim.
        tail: "pad" keeps a last window that is not full (Granite); "drop" leaves it out (SALMONN).
        positions: add each frame's place in its window. Vectors of codes do not know theirs.
    """

    queries: int = 1
    window: int | None = 17
    dim: int = 768
    depth: int = 2
    heads: int = 12
    feedforward: int | None = None
    tail: str = "pad"
    positions: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.dim, self.heads)


class QFormer(Projector):
    """Layers of self-attention among the queries, cross-attention to the frames, feed-forward; norms as in BERT."""

    Config = QFormerConfig

    def __init__(self, in_dim: int, out_dim: int, config: QFormerConfig | None = None) -> None:
        super().__init__(in_dim, out_dim, config)
        c = self.config
        self.queries = nn.Parameter(torch.randn(c.queries, c.dim) * 0.02)
        self.inlet = nn.Sequential(nn.Linear(in_dim, c.dim), nn.LayerNorm(c.dim))
        width = c.feedforward or 4 * c.dim
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(c.dim, c.heads, width, dropout=0.0, activation="gelu", batch_first=True)
            for _ in range(c.depth)
        )
        self.outlet = nn.Linear(c.dim, out_dim)

    def out_length(self, frames: int) -> int:
        """Global: Q, and 0 without audio. Windowed: Q ceil(T / window); Q floor(T / window) with the tail dropped."""
        c = self.config
        return c.queries * (min(frames, 1) if c.window is None else grouped_length(frames, c.window, c.tail))

    def _project(self, x: Tensor, mask: Tensor) -> Tensor:
        size, tail = (x.shape[1], "pad") if self.config.window is None else (self.config.window, self.config.tail)
        groups, valid = group_frames(x, mask, size, tail)
        memory = self.inlet(groups.flatten(0, 1))
        if self.config.positions:
            memory = memory + sinusoids(size, memory.shape[2], memory)
        unseen = ~valid.flatten(0, 1)
        unseen[:, 0] = False  # a window of padding alone would make NaN, and gradients of NaN; it is masked later
        out = self.queries.expand(len(memory), -1, -1)
        for layer in self.layers:
            out = layer(out, memory, memory_key_padding_mask=unseen)
        return self.outlet(out).unflatten(0, groups.shape[:2]).flatten(1, 2)


def check_heads(dim: int, heads: int) -> None:
    """Raise CodectokError unless the heads share the width evenly."""
    if dim % heads:
        raise CodectokError(f"dim {dim} does not divide into {heads} heads")

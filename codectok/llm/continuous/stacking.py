"""Frames concatenated n at a time, then linear layers (SLAM-ASR, Ma et al. 2024; LLaMA-Omni, Fang et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from codectok.llm.continuous.linear import mlp
from codectok.llm.continuous.projector import Projector, ProjectorConfig, group_frames, grouped_length


@dataclass(frozen=True)
class FrameConcatConfig(ProjectorConfig):
    """Options of :class:`FrameConcat`.

    Attributes:
        ratio: n, frames to one soft token. SLAM-ASR and LLaMA-Omni: 5; Voxtral: 4; Ultravox: 8.
        hidden: width of the layer between (SLAM-ASR and LLaMA-Omni: 2048); None for a single linear layer.
        activation: between the two. relu in SLAM-ASR and LLaMA-Omni, gelu in Voxtral.
        tail: "pad" fills the last group with zeros (Voxtral, Ultravox); "drop" leaves it out (SLAM-ASR, LLaMA-Omni).
        bias: of the layers (Voxtral: none).
    """

    ratio: int = 5
    hidden: int | None = 2048
    activation: str = "relu"
    tail: str = "pad"
    bias: bool = True


class FrameConcat(Projector):
    """[B, T, D] -> [B, T / n, n D] -> linear layers."""

    Config = FrameConcatConfig

    def __init__(self, in_dim: int, out_dim: int, config: FrameConcatConfig | None = None) -> None:
        super().__init__(in_dim, out_dim, config)
        c = self.config
        width = c.ratio * in_dim
        self.layers: nn.Module = (
            nn.Linear(width, out_dim, c.bias)
            if c.hidden is None
            else mlp(width, out_dim, c.hidden, c.activation, c.bias)
        )

    def out_length(self, frames: int) -> int:
        """ceil(T / n); floor(T / n) where the tail is dropped."""
        return grouped_length(frames, self.config.ratio, self.config.tail)

    def _project(self, x: Tensor, mask: Tensor) -> Tensor:
        groups, _ = group_frames(x, mask, self.config.ratio, self.config.tail)
        return self.layers(groups.flatten(2))

"""Average pooling in front of one linear layer (Qwen2-Audio, Chu et al. 2024: 50 -> 25 frames/s)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from codectok.llm.continuous.projector import Projector, ProjectorConfig, group_frames, grouped_length


@dataclass(frozen=True)
class AveragePoolConfig(ProjectorConfig):
    """Options of :class:`AveragePool`.

    Attributes:
        ratio: frames to one soft token.
        tail: "drop" leaves a last group that is not full out (Qwen2-Audio); "pad" averages what is there.
        bias: of the linear layer.
    """

    ratio: int = 2
    tail: str = "pad"
    bias: bool = True


class AveragePool(Projector):
    """Mean of every ``ratio`` frames, padding not counted, then ``y = W x + b``."""

    Config = AveragePoolConfig

    def __init__(self, in_dim: int, out_dim: int, config: AveragePoolConfig | None = None) -> None:
        super().__init__(in_dim, out_dim, config)
        self.linear = nn.Linear(in_dim, out_dim, self.config.bias)

    def out_length(self, frames: int) -> int:
        """ceil(T / ratio); floor(T / ratio) where the tail is dropped."""
        return grouped_length(frames, self.config.ratio, self.config.tail)

    def _project(self, x: Tensor, mask: Tensor) -> Tensor:
        groups, valid = group_frames(x, mask, self.config.ratio, self.config.tail)
        return self.linear(groups.sum(2) / valid.sum(2, keepdim=True).clamp(min=1))

"""Strided convolutions over time, then a linear layer (SLAM-LLM's cov1d; Phi-4-Multimodal's three of stride 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codectok.errors import CodectokError
from codectok.llm.continuous.linear import mlp
from codectok.llm.continuous.projector import Projector, ProjectorConfig
from codectok.llm.continuous.scatter import frame_mask


@dataclass(frozen=True)
class StridedConvConfig(ProjectorConfig):
    """Options of :class:`StridedConv`.

    Attributes:
        strides: of each convolution, one after the other; frames to one soft token are their product.
        kernels: of each; () for kernel = stride, no frame read twice.
        padding: zeros before and after, in frames, at every convolution; None for none.
        hidden: channels, and width before the last linear layer; None for the model's.
    """

    strides: Sequence[int] = (5,)
    kernels: Sequence[int] = ()
    padding: int | None = None
    hidden: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "strides", tuple(self.strides))
        object.__setattr__(self, "kernels", tuple(self.kernels) or self.strides)
        if not self.strides or min(*self.strides, *self.kernels) < 1 or len(self.kernels) != len(self.strides):
            raise CodectokError(f"strides {self.strides}, kernels {self.kernels}: give as many of each, all 1 or more")


class StridedConv(Projector):
    """Conv1d and ReLU for each stride; then linear, ReLU, linear."""

    Config = StridedConvConfig

    def __init__(self, in_dim: int, out_dim: int, config: StridedConvConfig | None = None) -> None:
        super().__init__(in_dim, out_dim, config)
        c = self.config
        width = c.hidden or out_dim
        self.convs = nn.ModuleList(
            nn.Conv1d(width if i else in_dim, width, kernel, stride, c.padding or 0)
            for i, (kernel, stride) in enumerate(zip(c.kernels, c.strides, strict=True))
        )
        self.layers = mlp(width, out_dim, width, "relu")

    def out_length(self, frames: int) -> int:
        """floor((T + 2 padding - kernel) / stride) + 1 for each convolution in turn, 0 where that is less or T is 0."""
        return self._lengths(frames)[-1]

    def _lengths(self, frames: int) -> list[int]:
        c, found = self.config, []
        for kernel, stride in zip(c.kernels, c.strides, strict=True):
            frames = max(0, (frames + 2 * (c.padding or 0) - kernel) // stride + 1) if frames else 0
            found.append(frames)
        return found

    def _project(self, x: Tensor, mask: Tensor) -> Tensor:
        stages = torch.tensor([self._lengths(n) for n in mask.sum(1).tolist()], device=x.device)
        for i, conv in enumerate(self.convs):
            x = conv(x.mT).mT.relu()
            # Bias makes padding non-zero, and the next kernel would read it at the end of a shorter item.
            x = x * frame_mask(stages[:, i], x.shape[1])[:, :, None]
        return self.layers(x)

"""One linear layer, or two, for every frame: the mainstream (Qwen2-Audio; Audio Flamingo 3; Phi-4-Multimodal)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from codectok.errors import CodectokError
from codectok.llm.continuous.projector import Projector, ProjectorConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU}


@dataclass(frozen=True)
class LinearConfig(ProjectorConfig):
    """Options of :class:`LinearProjector`."""

    bias: bool = True


class LinearProjector(Projector):
    """``y = W x + b``: what Qwen2-Audio (Chu et al. 2024) has behind its pooled encoder."""

    Config = LinearConfig

    def __init__(self, in_dim: int, out_dim: int, config: LinearConfig | None = None) -> None:
        super().__init__(in_dim, out_dim, config)
        self.linear = nn.Linear(in_dim, out_dim, self.config.bias)

    def out_length(self, frames: int) -> int:
        """T."""
        return frames

    def _project(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.linear(x)


@dataclass(frozen=True)
class MLPConfig(ProjectorConfig):
    """Options of :class:`MLP`.

    Attributes:
        hidden: width between the two layers; None for the model's.
        activation: gelu, relu or silu.
        bias: of both layers.
    """

    hidden: int | None = None
    activation: str = "gelu"
    bias: bool = True


class MLP(Projector):
    """Linear, GELU, linear (Audio Flamingo 3, Goel et al. 2025; Phi-4-Multimodal)."""

    Config = MLPConfig

    def __init__(self, in_dim: int, out_dim: int, config: MLPConfig | None = None) -> None:
        super().__init__(in_dim, out_dim, config)
        c = self.config
        self.layers = mlp(in_dim, out_dim, c.hidden or out_dim, c.activation, c.bias)

    def out_length(self, frames: int) -> int:
        """T."""
        return frames

    def _project(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.layers(x)


def mlp(in_dim: int, out_dim: int, hidden: int, activation: str = "gelu", bias: bool = True) -> nn.Sequential:
    """Two linear layers with an activation between them.

    Raises:
        CodectokError: an unknown activation.
    """
    if activation not in ACTIVATIONS:
        raise CodectokError(f"activation {activation!r} is unknown: {', '.join(ACTIVATIONS)}")
    return nn.Sequential(nn.Linear(in_dim, hidden, bias), ACTIVATIONS[activation](), nn.Linear(hidden, out_dim, bias))

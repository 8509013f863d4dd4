"""From an input to vectors a probe can take: an embedding a codebook with attention over codebooks, or a projection.

Discrete inputs as in DASB (Mousavi et al. 2024, 3.2): every codebook has its own embedding table, and an MLP weighs
the codebooks of each frame. Quantized and continuous inputs: LayerNorm and a linear map; where several layers of an
encoder are given, each has its own map, and the same MLP weighs the layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from codectok.errors import FormatError

from ..contract import Example, InputInfo


def collate(examples: Sequence[Example], device: str | torch.device = "cpu") -> tuple[Tensor, Tensor]:
    """Examples as one batch, padded with zeros at the end.

    Returns:
        ``x`` int64 [B, K, T], or float32 [B, T, D] ([B, L, T, D] of several layers), and ``lengths`` int64 [B].
    """
    time = -1 if not torch.is_floating_point(examples[0].x) else -2
    lengths = torch.tensor([example.x.shape[time] for example in examples])
    shape = list(examples[0].x.shape)
    shape[time] = int(lengths.max())
    x = torch.zeros(len(examples), *shape, dtype=examples[0].x.dtype)
    for row, example in zip(x, examples, strict=True):
        row.narrow(time, 0, example.x.shape[time]).copy_(example.x)
    return x.to(device), lengths.to(device)


def length_mask(lengths: Tensor, frames: int) -> Tensor:
    """True where a frame belongs to its clip, bool [B, T]."""
    return torch.arange(frames, device=lengths.device)[None] < lengths[:, None]


class AttentionMLP(nn.Module):
    """Weighs the streams (codebooks or layers) of each frame: Linear, ReLU, Linear, softmax (DASB's AttentionMLP)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, K, dim] -> [B, T, dim]."""
        if x.shape[2] == 1:
            return x[:, :, 0]
        weights = self.layers(x).softmax(2)
        return (weights.transpose(2, 3) @ x)[:, :, 0]


class Frontend(nn.Module):
    """An input as float32 [B, T, dim], zero at padding.

    Args:
        info: of the input.
        dim: size of a frame.
        vectors: float [size, D] a codebook, to start the tables from; see :func:`start_table`.
        layers: of an encoder, where ``x`` is [B, L, T, D].
    """

    starts: Tensor

    def __init__(self, info: InputInfo, dim: int, vectors: Sequence[Tensor] | None = None, layers: int = 1) -> None:
        super().__init__()
        self.kind, self.dim, self.sizes = info.kind, dim, info.codebook_sizes
        if info.kind == "audio":
            raise FormatError(f"{info.spec} gives samples: it is for resynthesis only, not for a probe")
        if info.kind == "discrete":
            # The codebooks' tables stand one below the other; the codes are moved to theirs out of place.
            self.tables = nn.Embedding(sum(self.sizes), dim)
            starts = torch.tensor((0, *self.sizes[:-1])).cumsum(0)
            self.register_buffer("starts", starts, persistent=False)
            if vectors is not None:
                self.tables.weight.data.copy_(start_table(vectors, self.sizes, dim))
        else:
            self.norms = nn.ModuleList(nn.LayerNorm(info.dim) for _ in range(layers))
            self.maps = nn.ModuleList(nn.Linear(info.dim, dim) for _ in range(layers))
        self.attention = AttentionMLP(dim) if max(len(self.sizes), layers) > 1 else None

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """``x`` as :func:`collate` makes it, lengths [B] -> [B, T, dim].

        Raises:
            FormatError: another number of codebooks than the input was announced with.
        """
        if self.kind == "discrete":
            if x.shape[1] != len(self.sizes):
                raise FormatError(f"codes of {x.shape[1]} codebooks for a probe of {len(self.sizes)}")
            frames = self.tables((x + self.starts[:, None]).transpose(1, 2))
        else:
            streams = x[:, None] if x.dim() == 3 else x
            parts = [m(n(streams[:, i])) for i, (m, n) in enumerate(zip(self.maps, self.norms, strict=True))]
            frames = torch.stack(parts, 2)
        y = self.attention(frames) if self.attention is not None else frames[:, :, 0]
        return y * length_mask(lengths, y.shape[1])[..., None]


def start_table(vectors: Sequence[Tensor], sizes: Sequence[int], dim: int) -> Tensor:
    """Embedding tables, float32 [sum of sizes, dim], that start from the code vectors of a tokenizer.

    Vectors of up to ``dim`` values are padded with zeros; longer ones are projected on the ``dim`` directions in which
    all codebooks together vary most (PCA about zero: distances are kept as well as they can be). One factor for all
    codebooks makes the mean square of a value 1, as in tables drawn at random.

    Raises:
        FormatError: not one table of the right size a codebook.
    """
    if [len(v) for v in vectors] != list(sizes) or len({v.shape[1] for v in vectors}) != 1:
        raise FormatError(f"code vectors of sizes {[tuple(v.shape) for v in vectors]} for codebooks of {list(sizes)}")
    table = torch.cat([v.detach().float().cpu() for v in vectors])
    if table.shape[1] > dim:
        _, _, directions = torch.linalg.svd(table, full_matrices=False)
        table = table @ directions[:dim].T
    table = nn.functional.pad(table, (0, dim - table.shape[1]))
    return table / table.square().mean().sqrt().clamp_min(1e-8)

"""Product quantizers of vq-wav2vec (Baevski et al. 2019) as unit streams: a codebook for each of G groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from codectok.codec.gumbel import GumbelVQ
from codectok.errors import CodectokError
from codectok.units.kmeans.stream import BLOCK, Stream, check_standardisation, stored
from codectok.units.kmeans.unit_stream import UnitStream


class GroupedStream(Stream):
    """k-means of each of G slices of the features (section 3.3); K = G.

    Args:
        layer_index: as of :class:`UnitStream`, like ``mean`` and ``scale`` [D].
        centroids: float [k, D_g] of each group; the widths D_g sum to D.

    Raises:
        CodectokError: shapes that do not fit together, or values that are not finite.
    """

    kind = "grouped-kmeans"

    def __init__(
        self, layer_index: int, centroids: Sequence[Tensor], mean: Tensor | None = None, scale: Tensor | None = None
    ) -> None:
        if not centroids or any(c.dim() != 2 for c in centroids):
            raise CodectokError("a grouped stream takes centroids [k, D_g] for each group")
        self.layer_index = layer_index
        self.widths = [c.shape[1] for c in centroids]
        self.dim = sum(self.widths)
        self.mean, self.scale = (None if t is None else stored(t) for t in (mean, scale))
        check_standardisation(self.dim, self.mean, self.scale)
        means, scales = (
            [None] * len(centroids) if t is None else list(t.split(self.widths)) for t in (self.mean, self.scale)
        )
        self.groups = [UnitStream(layer_index, [c], *ms) for c, *ms in zip(centroids, means, scales, strict=True)]
        self.sizes = tuple(g.sizes[0] for g in self.groups)

    def _encode(self, features: Tensor, count: int) -> tuple[Tensor, Tensor]:
        slices = zip(self.groups[:count], features.split(self.widths, 1), strict=False)
        found = [group._encode(part, 1) for group, part in slices]
        return torch.cat([codes for codes, _ in found]), torch.stack([best for _, best in found]).sum(0)

    def _vectors(self, codes: Tensor) -> Tensor:
        """The centroids side by side; the slices of groups that have no codes are 0."""
        out = torch.zeros(codes.shape[1], self.dim, device=self.device)
        for group, row, part in zip(self.groups, codes, out.split(self.widths, 1), strict=False):
            part.copy_(group._vectors(row[None]))
        return out

    def to(self, device: str | torch.device) -> GroupedStream:
        """Search on ``device`` from now on."""
        self.device = torch.device(device)
        self.groups = [g.to(device) for g in self.groups]
        return self

    def tensors(self) -> dict[str, Tensor]:
        """``centroids.0``, ... of the groups and, where there are any, ``mean`` and ``scale``."""
        found = {f"centroids.{g}": group.centroids[0] for g, group in enumerate(self.groups)}
        return found | {n: t for n, t in (("mean", self.mean), ("scale", self.scale)) if t is not None}

    @classmethod
    def build(cls, layer_index: int, sizes: Sequence[int], tensors: Mapping[str, Tensor]) -> GroupedStream:
        """From what ``config`` and ``tensors`` gave."""
        centroids = [tensors[f"centroids.{g}"] for g in range(len(sizes))]
        return cls(layer_index, centroids, tensors.get("mean"), tensors.get("scale"))


class GumbelStream(Stream):
    """A trained :class:`GumbelVQ` (section 3.2): each group's code is the argmax of its logits; K = G.

    Args:
        layer_index: as of :class:`UnitStream`.
        quantizer: of the features' width D.
    """

    kind = "gumbel"

    def __init__(self, layer_index: int, quantizer: GumbelVQ) -> None:
        self.layer_index = layer_index
        self.quantizer = quantizer.eval().requires_grad_(False)
        self.dim = quantizer.groups[0].logits.in_features
        self.sizes = quantizer.codebook_sizes

    def _encode(self, features: Tensor, count: int) -> tuple[Tensor, Tensor]:
        blocks = [self.quantizer.encode(x[None].to(self.device), count)[0] for x in features.split(BLOCK)]
        return torch.cat(blocks, 1), features.float().abs().amax(1)

    def _vectors(self, codes: Tensor) -> Tensor:
        return self.quantizer.decode(codes[None])[0]

    def to(self, device: str | torch.device) -> GumbelStream:
        """Compute on ``device`` from now on."""
        self.device = torch.device(device)
        self.quantizer.to(device)
        return self

    def tensors(self) -> dict[str, Tensor]:
        """The quantizer's state."""
        return {name: stored(t) for name, t in self.quantizer.state_dict().items()}

    @classmethod
    def build(cls, layer_index: int, sizes: Sequence[int], tensors: Mapping[str, Tensor]) -> GumbelStream:
        """From what ``config`` and ``tensors`` gave."""
        quantizer = GumbelVQ(tensors["groups.0.logits.weight"].shape[1], list(sizes))
        quantizer.load_state_dict(dict(tensors))
        return cls(layer_index, quantizer)

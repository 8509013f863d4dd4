"""The quantizers that the conformance suite is run over, small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from codectok.codec.envelope.quantizer import ConditionedVQ
from codectok.codec.factorised import FactorisedVQ
from codectok.codec.fsq import FiniteScalarVQ
from codectok.codec.gumbel import GumbelVQ
from codectok.codec.partitioned_vq import PartitionedVQ
from codectok.codec.quantizer import Quantizer
from codectok.codec.rvq import ResidualVQ
from codectok.codec.split_rvq import SplitResidualVQ

DIM = 8
SIZES = [8, 5, 16, 7]
Make = Callable[[], Any]


def _seeded(make: Callable[[], Quantizer]) -> Make:
    def seeded() -> Quantizer:
        torch.manual_seed(0)
        return make()

    return seeded


MAKERS: dict[str, Make] = {
    "residual": _seeded(lambda: ResidualVQ(DIM, SIZES)),
    "split": _seeded(lambda: SplitResidualVQ(DIM, 4, SIZES)),
    "split-two-semantic": _seeded(lambda: SplitResidualVQ(DIM, DIM, SIZES, 2)),
    "partitioned": _seeded(lambda: PartitionedVQ([3, 5], [1, 3], SIZES)),
    "residual-beam": _seeded(lambda: ResidualVQ(DIM, SIZES, "beam-4")),
    "partitioned-beam": _seeded(lambda: PartitionedVQ([3, 5], [1, 3], SIZES, "beam-4")),
    "split-beam": _seeded(lambda: SplitResidualVQ(DIM, 4, SIZES, search="beam-4")),
    "conditioned": _seeded(lambda: ConditionedVQ([3, 5], [1, 3], SIZES, shifted=1)),
    "conditioned-beam": _seeded(lambda: ConditionedVQ([3, 3, 2], [1, 1, 2], SIZES, "beam-4", 2)),
    "factorised": _seeded(lambda: FactorisedVQ(DIM, SIZES, 3)),
    "fsq": _seeded(lambda: FiniteScalarVQ(DIM, [4, 3], 4)),
    "fsq-unprojected": _seeded(lambda: FiniteScalarVQ(DIM, [5, 4, 3, 2, 2, 2, 2, 2], 2)),
    "gumbel": _seeded(lambda: GumbelVQ(DIM, SIZES)),
}


def latents(batch: int = 3, frames: int = 40, grad: bool = False, seed: int = 1) -> Tensor:
    """Correlated latents [B, T, DIM] off the origin."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(99)) * 0.5
    z = torch.randn(batch, frames, DIM, generator=generator) @ mixing + 0.3
    return z.requires_grad_(grad)


def fitted(make: Make) -> Any:
    """Started on latents as in training."""
    vq = make()
    vq.fit(latents(4, 100, seed=2).flatten(0, 1))
    return vq


def state(vq: Quantizer) -> dict[str, Tensor]:
    """Copies of everything that a quantizer holds."""
    return {k: v.detach().clone() for k, v in [*vq.named_buffers(), *vq.named_parameters()]}


def same_state(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a)


def codebooks(vq: Any) -> list[Any]:
    """The modules with ``vectors`` and ``counts`` of each level."""
    if isinstance(vq, PartitionedVQ):
        return [level for part in vq.parts for level in part.levels]
    halves = [vq.semantic.vq, vq.acoustic.vq] if isinstance(vq, SplitResidualVQ) else [vq]
    return [level for half in halves for level in half.levels]


def seen_by_first(vq: Any, z: Tensor) -> Tensor:
    """What the first level's codes are compared with, [N, code_dim]."""
    flat = z.flatten(0, 1)
    if isinstance(vq, PartitionedVQ):
        return flat[:, : vq.dims[0]]
    if isinstance(vq, SplitResidualVQ):
        return vq.semantic.input(flat)
    return vq.levels[0].input(flat) if isinstance(vq, FactorisedVQ) else flat

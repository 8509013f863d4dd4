"""Every quantizer through every clause; every mutant must fail the clause it breaks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from codectok.codec.factorised import FactorisedVQ
from codectok.codec.fsq import FiniteScalarVQ
from codectok.codec.gumbel import GumbelVQ
from codectok.codec.partitioned_vq import PartitionedVQ
from codectok.codec.quantizer import Quantized, Quantizer, Use
from codectok.codec.rvq import ResidualVQ
from codectok.codec.split_rvq import SplitResidualVQ
from tests.quantizers.clauses import CLAUSES
from tests.quantizers.subjects import DIM, MAKERS, SIZES


@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize("subject", MAKERS)
def test_conformance(subject: str, clause: str) -> None:
    CLAUSES[clause](MAKERS[subject])


class AddsUpGradients(ResidualVQ):
    """The classic mistake: straight-through at every level, so that residuals carry no gradient."""

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        out = super()._quantize(z, use, decay)
        commitment = [c if k == 0 else c.detach() for k, c in enumerate(out.commitment)]
        return Quantized(out.quantized, out.codes, torch.stack(commitment))


class UpdatesInTraining(ResidualVQ):
    def forward(self, z: Tensor, depths: Any = None, update_decay: Any = None, mask: Any = None) -> Quantized:
        return super().forward(z, depths, 0.99 if self.training else update_decay, mask)


class RevivesVectorsOnly(ResidualVQ):
    """Sums and counts stay stale: the next update undoes it."""

    def _revive(self, x: Tensor, threshold: float, generator: torch.Generator | None) -> list[int]:
        before = [(level.sums.clone(), level.counts.clone()) for level in self.levels]
        revived = super()._revive(x, threshold, generator)
        for level, (sums, counts) in zip(self.levels, before, strict=True):
            level.sums.copy_(sums)
            level.counts.copy_(counts)
        return revived


class DropsWholeBatches(ResidualVQ):
    def forward(self, z: Tensor, depths: Any = None, update_decay: Any = None, mask: Any = None) -> Quantized:
        return super().forward(z, None if depths is None else depths.amax().expand(len(z)), update_decay, mask)


class MeansOverAllItems(FactorisedVQ):
    """Batch mean times mask: items that dropped a level still count."""

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        out = super()._quantize(z, use, decay)
        share = use.levels.float().mean((1, 2))
        return Quantized(out.quantized, out.codes, out.commitment * share, out.codebook_loss * share)


class LearnsFromPadding(ResidualVQ):
    def forward(self, z: Tensor, depths: Any = None, update_decay: Any = None, mask: Any = None) -> Quantized:
        out = super().forward(z, depths, update_decay)
        return super().forward(z, depths, None, mask) if mask is not None else out


class SearchesInHalf(ResidualVQ):
    def encode(self, z: Tensor, num_codebooks: int | None = None) -> Tensor:
        return super().encode(z.bfloat16() * 1.01 if z.dtype == torch.bfloat16 else z, num_codebooks)


class KeepsAcousticHalf(SplitResidualVQ):
    """Items without acoustic levels still pass their latents through the acoustic projections."""

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        out = super()._quantize(z, use, decay)
        off = ~use.levels[self.num_semantic, :, :, None]
        out.quantized = out.quantized + off * self.acoustic.output(self.acoustic.input(z))
        return out


class KeepsUnusedSlices(PartitionedVQ):
    """Slices that an item has no codebook left for pass through unquantized."""

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        out = super()._quantize(z, use, decay)
        out.quantized = torch.where(out.quantized == 0, z, out.quantized)
        return out


class StartsPartsAtTheSameLevel(PartitionedVQ):
    """Every slice takes the depth of the first."""

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        return super()._quantize(z, Use(use.valid, use.levels[:1].expand_as(use.levels)), decay)


class OffsetDigits(FiniteScalarVQ):
    """Finer digits weighted as the first."""

    def values(self, digits: Tensor) -> Tensor:
        values = super().values(digits)
        return torch.cat([values[:, :1], values[:, 1:] * 7], 1)


class NoisyInEvaluation(GumbelVQ):
    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        was, self.training = self.training, True
        out = super()._quantize(z, use, decay)
        self.training = was
        return out


class ForgetsTheSoftPath(GumbelVQ):
    """Hard choices without a way back to the logits."""

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        out = super()._quantize(z, use, decay)
        return Quantized(out.quantized.detach(), out.codes, out.commitment, out.codebook_loss)


MUTANTS: list[tuple[type[Quantizer], tuple[Any, ...], str]] = [
    (AddsUpGradients, (DIM, SIZES), "every_level_has_a_gradient"),
    (UpdatesInTraining, (DIM, SIZES), "updates_only_on_request"),
    (RevivesVectorsOnly, (DIM, SIZES), "dead_codes_come_back"),
    (DropsWholeBatches, (DIM, SIZES), "dropout_is_per_item"),
    (MeansOverAllItems, (DIM, SIZES, 3), "dropout_is_per_item"),
    (LearnsFromPadding, (DIM, SIZES), "padding_teaches_nothing"),
    (SearchesInHalf, (DIM, SIZES), "quantizes_in_float32"),
    (KeepsAcousticHalf, (DIM, 4, SIZES), "dropout_is_per_item"),
    (KeepsUnusedSlices, ([3, 5], [1, 3], SIZES), "dropout_is_per_item"),
    (StartsPartsAtTheSameLevel, ([3, 5], [1, 3], SIZES), "dropout_is_per_item"),
    (OffsetDigits, (DIM, [4, 3], 4), "distances_explain_the_choice"),
    (NoisyInEvaluation, (DIM, SIZES), "forward_is_decode_of_encode"),
    (ForgetsTheSoftPath, (DIM, SIZES), "every_level_has_a_gradient"),
]


@pytest.mark.parametrize(("mutant", "shape", "clause"), MUTANTS, ids=[m.__name__ for m, _, _ in MUTANTS])
def test_mutant_fails(mutant: type[Quantizer], shape: tuple[Any, ...], clause: str) -> None:
    def make() -> Quantizer:
        torch.manual_seed(0)
        return mutant(*shape)

    with pytest.raises((AssertionError, RuntimeError)):
        CLAUSES[clause](make)

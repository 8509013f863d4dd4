"""Partitioned quantization in which the first slice's code says what to expect of another slice."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from codectok.codec.beam import GREEDY
from codectok.codec.partitioned_vq import PartitionedVQ
from codectok.codec.quantizer import Quantized, Use
from codectok.errors import FormatError

SHRINK = 3.0
"""Rows of the mean of all that each code's mean has beside its own."""


class ConditionedVQ(PartitionedVQ):
    """A :class:`PartitionedVQ` whose slice ``shifted`` is quantized as its distance from a mean given the first code.

    What is said tells much of how the spectrum looks; so the codebooks of the spectrum need not say it again. Each
    frame still stands for itself. Without codebooks of its own the slice is that mean.

    Args:
        dims: widths of the slices.
        parts: codebooks of each slice, one of the first.
        codebook_sizes: codes of each codebook, slice after slice.
        search: within each slice, see :class:`~codectok.codec.rvq.ResidualVQ`.
        shifted: which slice, from 1.

    Raises:
        FormatError: they do not fit each other.
    """

    means: Tensor

    def __init__(
        self, dims: list[int], parts: list[int], codebook_sizes: list[int], search: str = GREEDY, shifted: int = 1
    ) -> None:
        super().__init__(dims, parts, codebook_sizes, search)
        if parts[0] != 1 or not 1 <= shifted < len(dims):
            raise FormatError(
                f"slice {shifted} of {len(dims)}, whose first has {parts[0]} codebooks: give a slice from 1 on, and "
                "the first one codebook"
            )
        self.shifted = shifted
        self.register_buffer("means", torch.zeros(codebook_sizes[0], dims[shifted]))

    def expected(self, first: Tensor) -> Tensor:
        """Mean of the shifted slice, float32 [..., d], given codes int64 [...] of the first codebook."""
        return F.embedding(first, self.means)

    @torch.no_grad()
    def decoded_slice(self, z: Tensor, index: int) -> Tensor:
        """Slice ``index`` of latents after quantization, float32 [B, T, d]; only slices up to it have to be there.

        Args:
            z: [B, T, sum of the widths up to and with that slice].
            index: of the slice.
        """
        x = z.float()[..., sum(self.dims[:index]) :]
        if index != self.shifted:
            return self.parts[index].decode(self.parts[index].encode(x))
        expected = self.expected(self._first(z.float()))
        return expected + self.parts[index].decode(self.parts[index].encode(x - expected))

    def _first(self, z: Tensor) -> Tensor:
        """Codes of the first codebook, int64 [B, T], of latents [B, T, D]."""
        return self.parts[0].encode(z[..., : self.dims[0]])[:, 0]

    def _moved(self, z: Tensor, shift: Tensor) -> Tensor:
        """``z`` [..., D] with ``shift`` [..., d] added to the slice."""
        slices = list(z.split(self.dims, -1))
        slices[self.shifted] = slices[self.shifted] + shift
        return torch.cat(slices, -1)

    def _encode(self, z: Tensor, count: int) -> Tensor:
        return super()._encode(self._moved(z, -self.expected(self._first(z))), count)

    def _decode(self, codes: Tensor) -> Tensor:
        return self._moved(super()._decode(codes), self.expected(codes[:, 0]))

    @torch.no_grad()
    def distances(self, latent: Tensor, codes: Tensor, level: int) -> Tensor:
        """As :meth:`PartitionedVQ.distances`, given the first code."""
        return super().distances(self._moved(latent, -self.expected(codes[0])), codes, level)

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        expected = self.expected(self._first(z.detach()))
        out = super()._quantize(self._moved(z, -expected), use, decay)
        out.quantized = self._moved(out.quantized, torch.where(use.any, expected, 0.0))
        return out

    def _fit(self, x: Tensor, iterations: int, generator: torch.Generator) -> None:
        rows = x.split(self.dims, 1)
        self.parts[0]._fit(rows[0], iterations, generator)
        self.fit_expected(rows[0], rows[self.shifted])
        moved = self._moved(x, -self.expected(self._first(x[None])[0])).split(self.dims, 1)
        for part, left in zip(self.parts[1:], moved[1:], strict=True):
            part._fit(left, iterations, generator)

    @torch.no_grad()
    def fit_expected(self, first: Tensor, shifted: Tensor) -> None:
        """Set the means from rows of the first slice [N, d] and of the shifted one [N, d'] beside them.

        A little towards 0, the mean of all: a code that is rare among the rows says less.
        """
        index = self.parts[0].encode(first[None])[0, 0]
        counts = first.new_zeros(len(self.means)).index_add_(0, index, first.new_ones(len(first)))
        sums = torch.zeros_like(self.means).index_add_(0, index, shifted)
        self.means.copy_(sums / (counts + SHRINK)[:, None])

    def _revive(self, x: Tensor, threshold: float, generator: torch.Generator | None) -> list[int]:
        return super()._revive(self._moved(x, -self.expected(self._first(x[None])[0])), threshold, generator)

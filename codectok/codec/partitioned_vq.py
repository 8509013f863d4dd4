"""Partitioned residual vector quantization: consecutive slices of the latent, each with codebooks of its own.

A product quantizer (Jegou, Douze & Schmid 2011) of residual ones. Unlike in split quantization, where all codebooks see
the whole latent through projections, a slice keeps its meaning and its scale: the first codebooks decide nothing about
the waveform, and the last ones cannot move the pitch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from codectok.codec.beam import GREEDY
from codectok.codec.layers import Layers
from codectok.codec.quantizer import Quantized, Quantizer, Use
from codectok.codec.rvq import ResidualVQ, finish
from codectok.errors import FormatError


class PartitionedVQ(Quantizer):
    """The first ``parts[0]`` codebooks quantize the first ``dims[0]`` dimensions, the next ones the next.

    With k codebooks these are the first k: slices that none is left for are exactly 0, without gradient.

    Args:
        dims: widths of the slices.
        parts: codebooks of each slice.
        codebook_sizes: codes of each codebook, slice after slice.
        search: within each slice, see :class:`ResidualVQ`.

    Raises:
        FormatError: the three do not fit each other.
    """

    tracks_usage = True

    def __init__(self, dims: list[int], parts: list[int], codebook_sizes: list[int], search: str = GREEDY) -> None:
        super().__init__()
        if len(dims) != len(parts) or sum(parts) != len(codebook_sizes) or min(parts, default=0) < 1:
            raise FormatError(
                f"slices of widths {dims} with {parts} codebooks do not fit {len(codebook_sizes)} codebook sizes: "
                "give as many parts as widths, at least 1 codebook each, and the size of every codebook"
            )
        self.codebook_sizes = tuple(codebook_sizes)
        self.dims = list(dims)
        stops = [sum(parts[: i + 1]) for i in range(len(parts))]
        self.levels_of = [range(stop - n, stop) for stop, n in zip(stops, parts, strict=True)]
        self.parts: Layers[ResidualVQ] = Layers(
            ResidualVQ(d, codebook_sizes[levels.start : levels.stop], search)
            for d, levels in zip(dims, self.levels_of, strict=True)
        )

    def views(self) -> list[tuple[ResidualVQ, Callable[[Tensor], Tensor]]]:
        """Each slice's quantizer, with the map from latents [..., D] to what it quantizes."""

        def view(index: int) -> Callable[[Tensor], Tensor]:
            return lambda z: z.split(self.dims, -1)[index]

        return [(part, view(i)) for i, part in enumerate(self.parts)]

    def _slices(self, z: Tensor) -> Iterator[tuple[ResidualVQ, range, Tensor]]:
        return zip(self.parts, self.levels_of, z.split(self.dims, -1), strict=True)

    def _encode(self, z: Tensor, count: int) -> Tensor:
        codes = [
            part._encode(x, min(count - levels.start, len(levels)))
            for part, levels, x in self._slices(z)
            if count > levels.start
        ]
        return torch.cat(codes, 1)

    def _decode(self, codes: Tensor) -> Tensor:
        slices = [
            part._decode(codes[:, levels.start : levels.stop])
            for part, levels in zip(self.parts, self.levels_of, strict=True)
            if codes.shape[1] > levels.start
        ]
        z = torch.cat(slices, 2)
        return F.pad(z, (0, sum(self.dims) - z.shape[2]))

    @torch.no_grad()
    def distances(self, latent: Tensor, codes: Tensor, level: int) -> Tensor:
        """As :meth:`ResidualVQ.distances`, within the slice that ``level`` belongs to."""
        part, levels, x = next(found for found in self._slices(latent) if level in found[1])
        return part.distances(x, codes[levels.start :], level - levels.start)

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        ways = [
            part.trace(x, use.part(levels.start, levels.stop), decay is not None) for part, levels, x in self._slices(z)
        ]
        commitments = finish(ways, decay, self._shared(decay))
        return Quantized(
            torch.cat([way.quantized for way in ways], 2),
            torch.cat([way.codes for way in ways], 1),
            torch.cat(commitments),
        )

    def _fit(self, x: Tensor, iterations: int, generator: torch.Generator) -> None:
        for part, _, rows in self._slices(x):
            part._fit(rows, iterations, generator)

    def _revive(self, x: Tensor, threshold: float, generator: torch.Generator | None) -> list[int]:
        return [n for part, _, rows in self._slices(x) for n in part._revive(rows, threshold, generator)]

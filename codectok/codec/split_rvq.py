"""Split residual vector quantization: semantic and acoustic codebooks side by side.

They quantize the same latent, each through its own projections, and their outputs are summed: the acoustic ones are not
asked to repair what a distilled semantic codebook leaves out (Moshi, Defossez et al. 2024, section 3.3.2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codectok.codec.beam import GREEDY
from codectok.codec.quantizer import Quantized, Quantizer, Use
from codectok.codec.rvq import ResidualVQ, finish
from codectok.errors import FormatError


class ProjectedVQ(nn.Module):
    """A residual quantizer in a space of its own, ``code_dim`` wide, between two projections (none if equally wide)."""

    def __init__(self, dim: int, code_dim: int, codebook_sizes: list[int], search: str = GREEDY) -> None:
        super().__init__()
        same = dim == code_dim
        # Without bias: what a half that is not used adds to the sum must be 0.
        self.input = nn.Identity() if same else nn.Linear(dim, code_dim, bias=False)
        self.vq = ResidualVQ(code_dim, codebook_sizes, search)
        self.output = nn.Identity() if same else nn.Linear(code_dim, dim, bias=False)


class SplitResidualVQ(Quantizer):
    """``num_semantic`` codebooks and the others, in parallel on the same latent.

    Straight-through holds between the projections, so that they learn from what comes after: the gradient of
    ``quantized`` with respect to the input is that of ``output(input(z))``, summed over the halves that an item uses.

    Args:
        dim: width D of the latents.
        code_dim: width of the code vectors.
        codebook_sizes: number of codes of each codebook, the semantic ones first.
        num_semantic: how many are semantic.
        search: within each half, see :class:`ResidualVQ`.
    """

    tracks_usage = True

    def __init__(
        self, dim: int, code_dim: int, codebook_sizes: list[int], num_semantic: int = 1, search: str = GREEDY
    ) -> None:
        super().__init__()
        if not 1 <= num_semantic < len(codebook_sizes):
            raise FormatError(f"{num_semantic} semantic codebooks of {len(codebook_sizes)}: leave some of each kind")
        self.codebook_sizes = tuple(codebook_sizes)
        self.num_semantic = num_semantic
        self.semantic = ProjectedVQ(dim, code_dim, codebook_sizes[:num_semantic], search)
        self.acoustic = ProjectedVQ(dim, code_dim, codebook_sizes[num_semantic:], search)

    def _encode(self, z: Tensor, count: int) -> Tensor:
        codes = self.semantic.vq.encode(self.semantic.input(z), min(count, self.num_semantic))
        if count <= self.num_semantic:
            return codes
        return torch.cat([codes, self.acoustic.vq.encode(self.acoustic.input(z), count - self.num_semantic)], 1)

    def _decode(self, codes: Tensor) -> Tensor:
        z = self.semantic.output(self.semantic.vq.decode(codes[:, : self.num_semantic]))
        if codes.shape[1] > self.num_semantic:
            z = z + self.acoustic.output(self.acoustic.vq.decode(codes[:, self.num_semantic :]))
        return z

    @torch.no_grad()
    def distances(self, latent: Tensor, codes: Tensor, level: int) -> Tensor:
        """As :meth:`ResidualVQ.distances`, in the half that ``level`` belongs to."""
        half, skip = (self.semantic, 0) if level < self.num_semantic else (self.acoustic, self.num_semantic)
        return half.vq.distances(half.input(latent), codes[skip:], level - skip)

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        learn, count = decay is not None, len(self.codebook_sizes)
        semantic = self.semantic.vq.trace(self.semantic.input(z), use.part(0, self.num_semantic), learn)
        acoustic = self.acoustic.vq.trace(self.acoustic.input(z), use.part(self.num_semantic, count), learn)
        commitments = finish([semantic, acoustic], decay, self._shared(decay))
        return Quantized(
            self.semantic.output(semantic.quantized) + self.acoustic.output(acoustic.quantized),
            torch.cat([semantic.codes, acoustic.codes], 1),
            torch.cat(commitments),
        )

    def _fit(self, x: Tensor, iterations: int, generator: torch.Generator) -> None:
        for half in (self.semantic, self.acoustic):
            half.vq._fit(half.input(x), iterations, generator)

    def _revive(self, x: Tensor, threshold: float, generator: torch.Generator | None) -> list[int]:
        halves = (self.semantic, self.acoustic)
        return [n for half in halves for n in half.vq._revive(half.input(x), threshold, generator)]

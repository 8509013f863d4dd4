"""Split residual vector quantization: semantic and acoustic codebooks side by side.

They quantize the same latent, each through its own projections, and their outputs are summed: the acoustic ones are not
asked to repair what a distilled semantic codebook leaves out (Moshi, Defossez et al. 2024, section 3.3.2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codectok.codec.rvq import Quantized, ResidualVQ
from codectok.errors import CodeRangeError


class ProjectedVQ(nn.Module):
    """A residual quantizer in a space of its own, ``code_dim`` wide, between two projections (none if equally wide)."""

    def __init__(self, dim: int, code_dim: int, codebook_sizes: list[int]) -> None:
        super().__init__()
        same = dim == code_dim
        self.input = nn.Identity() if same else nn.Linear(dim, code_dim, bias=False)
        self.vq = ResidualVQ(code_dim, codebook_sizes)
        self.output = nn.Identity() if same else nn.Linear(code_dim, dim, bias=False)


class SplitResidualVQ(nn.Module):
    """``num_semantic`` codebooks and the others, in parallel on the same latent.

    Args:
        dim: width D of the latents.
        code_dim: width of the code vectors.
        codebook_sizes: number of codes of each codebook, the semantic ones first.
        num_semantic: how many are semantic.
    """

    def __init__(self, dim: int, code_dim: int, codebook_sizes: list[int], num_semantic: int = 1) -> None:
        super().__init__()
        if not 1 <= num_semantic < len(codebook_sizes):
            raise ValueError(f"{num_semantic} semantic codebooks of {len(codebook_sizes)}: leave some of each kind")
        self.codebook_sizes = tuple(codebook_sizes)
        self.num_semantic = num_semantic
        self.semantic = ProjectedVQ(dim, code_dim, codebook_sizes[:num_semantic])
        self.acoustic = ProjectedVQ(dim, code_dim, codebook_sizes[num_semantic:])

    def encode(self, z: Tensor, num_codebooks: int | None = None) -> Tensor:
        """[B, T, D] -> int64 [B, K, T]."""
        k = len(self.codebook_sizes) if num_codebooks is None else num_codebooks
        codes = self.semantic.vq.encode(self.semantic.input(z), min(k, self.num_semantic))
        if k <= self.num_semantic:
            return codes
        return torch.cat([codes, self.acoustic.vq.encode(self.acoustic.input(z), k - self.num_semantic)], 1)

    def decode(self, codes: Tensor) -> Tensor:
        """int64 [B, K, T] -> float32 [B, T, D]; any K up to the number of codebooks."""
        if codes.shape[1] > len(self.codebook_sizes):
            raise CodeRangeError(f"{codes.shape[1]} codebooks given, this quantizer has {len(self.codebook_sizes)}")
        z = self.semantic.output(self.semantic.vq.decode(codes[:, : self.num_semantic]))
        if codes.shape[1] > self.num_semantic:
            z = z + self.acoustic.output(self.acoustic.vq.decode(codes[:, self.num_semantic :]))
        return z

    @torch.no_grad()
    def distances(self, latent: Tensor, codes: Tensor, level: int) -> Tensor:
        """Squared distances of one latent [D] to every code of ``level``, as :meth:`ResidualVQ.distances`."""
        half, skip = (self.semantic, 0) if level < self.num_semantic else (self.acoustic, self.num_semantic)
        return half.vq.distances(half.input(latent), codes[skip:], level - skip)

    def forward(self, z: Tensor, depths: Tensor | None = None, update_decay: float | None = None) -> Quantized:
        """Quantize for training; arguments as :meth:`ResidualVQ.forward`.

        Straight-through holds between the projections, so that they learn from what comes after: the gradient with
        respect to the input is that of ``output(input(z))``, summed over the two halves.
        """
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            semantic = self.semantic.vq(self.semantic.input(z), depths, update_decay)
            left = None if depths is None else depths - self.num_semantic
            acoustic = self.acoustic.vq(self.acoustic.input(z), left, update_decay)
            return Quantized(
                self.semantic.output(semantic.quantized) + self.acoustic.output(acoustic.quantized),
                torch.cat([semantic.codes, acoustic.codes], 1),
                torch.cat([semantic.commitment, acoustic.commitment]),
            )

    @torch.no_grad()
    def fit(self, x: Tensor, iterations: int = 10, seed: int = 0) -> None:
        """Start every codebook by k-means on real frames ``x`` [N, D]."""
        for half in (self.semantic, self.acoustic):
            half.vq.fit(half.input(x.float()), iterations, seed)

    @torch.no_grad()
    def revive(self, z: Tensor, threshold: float = 0.1, generator: torch.Generator | None = None) -> list[int]:
        """Revive dead codes of every codebook from a batch [B, T, D]; returns how many a codebook."""
        revived = []
        for half in (self.semantic, self.acoustic):
            revived += half.vq.revive(half.input(z.float()), threshold, generator)
        return revived

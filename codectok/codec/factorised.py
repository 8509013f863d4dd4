"""Factorised, L2-normalised residual vector quantization, its codes learned by gradient.

Sources: narrow codes and cosine search, improved VQGAN (Yu et al. 2021, section 3.2); residual over levels with a
projection each, Descript Audio Codec (Kumar et al. 2023, section 3.2); codebook loss, VQ-VAE (van den Oord et al. 2017,
section 3.2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.codec.codebook import draw, kmeans, nearest
from codectok.codec.layers import Layers
from codectok.codec.quantizer import Quantized, Quantizer, Use, straight_through
from codectok.codec.ranks import stack_over_ranks, sum_over_ranks
from codectok.errors import FormatError


class FactorisedCodebook(nn.Module):
    """``size`` code vectors of width ``code_dim`` between two projections of vectors of width ``dim``."""

    counts: Tensor

    def __init__(self, size: int, dim: int, code_dim: int) -> None:
        super().__init__()
        self.input = nn.Linear(dim, code_dim)
        self.vectors = nn.Parameter(torch.randn(size, code_dim))
        self.output = nn.Linear(code_dim, dim)
        # Training state: moving count of the frames assigned to each code, which only revival looks at.
        self.register_buffer("counts", torch.ones(size), persistent=False)

    def search(self, y: Tensor) -> Tensor:
        """Code of the smallest angle to each projected frame, [..., code_dim] -> int64 [...]."""
        return (F.normalize(y, dim=-1) @ F.normalize(self.vectors, dim=-1).T).argmax(-1)

    def lookup(self, index: Tensor) -> Tensor:
        """int64 [...] -> what the codes add to the sum, [..., dim]."""
        return self.output(F.embedding(index, self.vectors))

    def fit(self, x: Tensor, iterations: int, generator: torch.Generator) -> None:
        """Projections onto the principal axes of frames [N, dim] and back; codes by k-means of the directions there."""
        mean = x.mean(0)
        axes = torch.linalg.eigh((x - mean).T @ (x - mean))[1][:, -len(self.input.weight) :]
        self.input.weight.copy_(axes.T)
        self.input.bias.copy_(-mean @ axes)
        self.output.weight.copy_(axes)
        self.output.bias.copy_(mean)
        y = self.input(x)
        directions, _ = kmeans(F.normalize(y, dim=1), len(self.counts), iterations, generator)
        index = nearest(F.normalize(y, dim=1), F.normalize(directions, dim=1))
        counts = torch.zeros_like(self.counts).index_add_(0, index, y.new_ones(len(y)))
        means = torch.zeros_like(self.vectors).index_add_(0, index, y) / counts.clamp_min(1)[:, None]
        self.vectors.copy_(torch.where(counts[:, None] > 0, means, directions))
        self.counts.copy_(counts.clamp_min(1e-3 * counts.mean()))

    def revive(self, y: Tensor, threshold: float, generator: torch.Generator | None) -> int:
        """As :meth:`codectok.codec.codebook.Codebook.revive`, with projected frames [N, code_dim]."""
        uniform = self.counts.mean()
        dead = (self.counts < threshold * uniform).nonzero().flatten()
        if len(dead) == 0 or len(y) == 0:
            return 0
        self.counts[dead] = uniform
        self.vectors[dead] = y[draw(len(y), len(dead), generator).to(y.device)]
        return len(dead)


class FactorisedVQ(Quantizer):
    """Residual quantizer whose levels each see the residual through a projection to ``code_dim`` dimensions.

    ``commitment`` is the mean squared distance of each level's projected residual to its code, ``codebook_loss`` the
    same with the gradient on the code's side. Straight-through holds inside the projections and down the residual:
    with P_k = output_k input_k, what reaches level k has the gradient R_k = (I - P_k-1) ... (I - P_1), ``quantized``
    that of I - R_K+1, and a commitment reaches the input through input_k R_k: not at all along what levels before
    carry, fully along the rest. Cutting the residual's gradient out of one of the two and not the other diverges.

    ``update_decay`` moves only the usage that revival looks at. A revived code keeps its optimizer's moments.

    Args:
        dim: width D of the vectors.
        codebook_sizes: number of codes of each level.
        code_dim: width of the codes, at most ``dim``.
    """

    tracks_usage = True

    def __init__(self, dim: int, codebook_sizes: list[int], code_dim: int = 8) -> None:
        super().__init__()
        if not 1 <= code_dim <= dim:
            raise FormatError(f"code_dim {code_dim}: codes are narrower than the vectors, 1 to {dim}")
        self.codebook_sizes = tuple(codebook_sizes)
        self.levels = Layers(FactorisedCodebook(size, dim, code_dim) for size in codebook_sizes)

    def _encode(self, z: Tensor, count: int) -> Tensor:
        codes = []
        for level in self.levels[:count]:
            index = level.search(level.input(z))
            z = z - level.lookup(index)
            codes.append(index)
        return torch.stack(codes, 1)

    def _decode(self, codes: Tensor) -> Tensor:
        total: Tensor | None = None
        for level, index in zip(self.levels, codes.unbind(1), strict=False):
            total = level.lookup(index) if total is None else total + level.lookup(index)
        assert total is not None
        return total

    @torch.no_grad()
    def distances(self, latent: Tensor, codes: Tensor, level: int) -> Tensor:
        """Squared distances of one latent's projected residual to every code of ``level``, all of length 1."""
        for k in range(level):
            latent = latent - self.levels[k].lookup(codes[k])
        y = self.levels[level].input(latent).double()
        return (F.normalize(y, dim=0) - F.normalize(self.levels[level].vectors.double(), dim=1)).square().sum(1)

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        residual, total = z, torch.zeros_like(z)
        codes, pulls, pushes, counts = [], [], [], []
        for level, on in zip(self.levels, use.levels, strict=True):
            y = level.input(residual)
            index = level.search(y.detach())
            code = F.embedding(index, level.vectors)
            pulls.append(_masked_error(y, code.detach(), on))
            pushes.append(_masked_error(y.detach(), code, on))
            counts.append(torch.zeros_like(level.counts).index_add_(0, index.flatten(), on.flatten().to(z.dtype)))
            term = torch.where(on[:, :, None], level.output(straight_through(code, y)), 0.0)
            residual, total = residual - term, total + term
            codes.append(index)
        if decay is not None:
            for level, count in zip(self.levels, sum_over_ranks(counts), strict=True):
                level.counts.mul_(decay).add_(count, alpha=1 - decay)
        frames = use.levels.sum((1, 2)).to(z.dtype)
        sums = torch.cat([torch.stack(pulls), torch.stack(pushes), frames])
        rows = stack_over_ranks(sums) if self._shared(decay) else sums[None]
        commitment, codebook_loss, users = rows.sum(0).chunk(3)
        users = users.detach().clamp_min(1)
        return Quantized(total, torch.stack(codes, 1), commitment / users, codebook_loss / users)

    def _fit(self, x: Tensor, iterations: int, generator: torch.Generator) -> None:
        for level in self.levels:
            level.fit(x, iterations, generator)
            x = x - level.lookup(level.search(level.input(x)))

    def _revive(self, x: Tensor, threshold: float, generator: torch.Generator | None) -> list[int]:
        revived = []
        for level in self.levels:
            y = level.input(x)
            x = x - level.lookup(level.search(y))
            revived.append(level.revive(y, threshold, generator))
        return revived


def _masked_error(a: Tensor, b: Tensor, on: Tensor) -> Tensor:
    """Sum over frames where ``on`` [B, T] of the mean squared difference of [B, T, D]."""
    return torch.where(on, (a - b).square().mean(2), 0.0).sum()

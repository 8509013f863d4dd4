"""Gumbel-softmax quantization (vq-wav2vec, Baevski et al. 2019, section 3.1; Jang et al. 2016).

Every group chooses one code by a linear layer's logits; the chosen vectors stand side by side. In training the choice
is random, hard on the way forward and soft on the way back, at a temperature that is annealed. The diversity loss that
keeps all codes in play is that of wav2vec 2.0 (Baevski et al. 2020, section 3.2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.codec.codebook import kmeans
from codectok.codec.layers import Layers
from codectok.codec.quantizer import Quantized, Quantizer, Use
from codectok.codec.ranks import stack_over_ranks
from codectok.errors import FormatError


class GumbelGroup(nn.Module):
    """One group: ``size`` logits of vectors of width ``dim``, and as many code vectors of width ``code_dim``."""

    def __init__(self, size: int, dim: int, code_dim: int) -> None:
        super().__init__()
        self.logits = nn.Linear(dim, size)
        self.vectors = nn.Parameter(torch.randn(size, code_dim) * code_dim**-0.5)


class GumbelVQ(Quantizer):
    """Product quantizer: codebook k fills the k-th slice of the vector; decoding fewer leaves the others 0.

    ``commitment`` is 0; ``codebook_loss`` is the share of codes that the batch's average choice leaves unused,
    1 - perplexity / size. ``update_decay`` and ``revive`` do nothing.

    Args:
        dim: width D of the vectors, a multiple of the number of groups.
        codebook_sizes: number of codes of each group.
        temperature: where annealing starts, ends, and its factor a step.
    """

    def __init__(
        self, dim: int, codebook_sizes: list[int], temperature: tuple[float, float, float] = (2.0, 0.5, 0.999995)
    ) -> None:
        super().__init__()
        if dim % len(codebook_sizes):
            raise FormatError(f"dim {dim} is not a multiple of {len(codebook_sizes)} groups: change either")
        self.codebook_sizes = tuple(codebook_sizes)
        self.schedule = temperature
        self.temperature = temperature[0]
        self.groups = Layers(GumbelGroup(size, dim, dim // len(codebook_sizes)) for size in codebook_sizes)

    def anneal(self, step: int) -> float:
        """Set the temperature of a training step and return it; a function of the step alone, so that runs resume."""
        start, end, factor = self.schedule
        self.temperature = max(end, start * factor**step)
        return self.temperature

    def noise(self, logits: Tensor) -> Tensor:
        """Standard Gumbel noise, shaped like the logits."""
        return -torch.empty_like(logits).exponential_().log()

    def _encode(self, z: Tensor, count: int) -> Tensor:
        return torch.stack([group.logits(z).argmax(-1) for group in self.groups[:count]], 1)

    def _decode(self, codes: Tensor) -> Tensor:
        return self._joined([F.embedding(i, g.vectors) for g, i in zip(self.groups, codes.unbind(1), strict=False)])

    def _joined(self, slices: list[Tensor]) -> Tensor:
        """Slices [B, T, D / K] of the first groups side by side, [B, T, D]."""
        missing = len(self.groups) - len(slices)
        return F.pad(torch.cat(slices, -1), (0, missing * slices[0].shape[-1]))

    @torch.no_grad()
    def distances(self, latent: Tensor, codes: Tensor, level: int) -> Tensor:
        """Negative log-probabilities [size] of the codes of group ``level``; the groups do not depend on each other."""
        return -torch.log_softmax(self.groups[level].logits(latent).double(), -1)

    def _quantize(self, z: Tensor, use: Use, decay: float | None) -> Quantized:
        slices, codes, sums = [], [], []
        for group, on in zip(self.groups, use.levels, strict=True):
            logits = group.logits(z)
            noisy = (logits + self.noise(logits)) / self.temperature if self.training else logits
            index = noisy.argmax(-1)
            soft = noisy.softmax(-1)
            hard = F.one_hot(index, soft.shape[-1]).to(z.dtype) + (soft - soft.detach())
            slices.append(torch.where(on[:, :, None], hard @ group.vectors, 0.0))
            codes.append(index)
            chances = torch.where(on[:, :, None], logits.softmax(-1), 0.0).sum((0, 1))
            sums.append(torch.cat([on.sum()[None].to(z.dtype), chances]))
        flat = torch.cat(sums)
        rows = stack_over_ranks(flat) if self._shared(decay) else flat[None]
        parts = rows.sum(0).split([len(s) for s in sums])
        loss = torch.stack([unused(part[1:] / part[0].detach().clamp_min(1)) for part in parts])
        loss = torch.where(torch.stack([part[0] for part in parts]) > 0, loss, 0.0)
        return Quantized(self._joined(slices), torch.stack(codes, 1), torch.zeros_like(loss), loss)

    def _fit(self, x: Tensor, iterations: int, generator: torch.Generator) -> None:
        """k-means of each slice; the logits become those of the nearest code, exactly, scaled by the slice's spread."""
        width = self.groups[0].vectors.shape[1]
        for k, group in enumerate(self.groups):
            part = x[:, k * width : (k + 1) * width]
            vectors, _ = kmeans(part, len(group.vectors), iterations, generator)
            scale = 1 / part.var(0).sum().clamp_min(1e-8)
            group.vectors.copy_(vectors)
            group.logits.weight.zero_()[:, k * width : (k + 1) * width] = vectors * scale
            group.logits.bias.copy_(-0.5 * vectors.square().sum(1) * scale)


def unused(chances: Tensor) -> Tensor:
    """1 - perplexity / size of probabilities [size]."""
    return 1 - torch.exp(torch.special.entr(chances).sum()) / len(chances)

"""Modified discrete cosine transform as one matrix product a frame (Princen & Bradley 1986; sine window).

Frame ``t`` covers samples ``[(t - 1) * N, (t + 1) * N)``: it can be computed as soon as its own N samples have
arrived, so analysis carries N past samples, and synthesis carries the half-overlapped N samples of the last frame.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def mdct_basis(hop: int) -> Tensor:
    """Windowed MDCT basis, float32 [2 * hop, hop]; its transpose synthesises, and overlap-add is exact."""
    n = torch.arange(2 * hop, dtype=torch.float64)
    k = torch.arange(hop, dtype=torch.float64)
    window = torch.sin(math.pi * (n + 0.5) / (2 * hop))
    phase = math.pi / hop * (n[:, None] + 0.5 + hop / 2) * (k[None, :] + 0.5)
    return (math.sqrt(2.0 / hop) * window[:, None] * torch.cos(phase)).float()


class Mdct(nn.Module):
    """Analysis: samples [B, T * hop] to coefficients [B, T, hop]."""

    basis: Tensor

    def __init__(self, hop: int) -> None:
        super().__init__()
        self.hop = hop
        self.register_buffer("basis", mdct_basis(hop), persistent=False)

    def step(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """``state`` is the last hop samples [B, hop], or None (silence) at the start of a stream."""
        if state is None:
            state = x.new_zeros(x.shape[0], self.hop)
        joined = torch.cat([state, x], 1)
        frames = joined.unfold(1, 2 * self.hop, self.hop)
        return frames @ self.basis, joined[:, -self.hop :]


class InverseMdct(nn.Module):
    """Synthesis: coefficients [B, T, hop] to samples [B, T * hop]; sample 0 is one hop before frame 0's own hop."""

    basis: Tensor

    def __init__(self, hop: int) -> None:
        super().__init__()
        self.hop = hop
        self.register_buffer("basis", mdct_basis(hop), persistent=False)

    def step(self, coefficients: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """``state`` is the second half [B, hop] of the last frame's synthesis, or None at the start of a stream."""
        if state is None:
            state = coefficients.new_zeros(coefficients.shape[0], self.hop)
        frames = coefficients @ self.basis.T
        tails = torch.cat([state[:, None], frames[:, :-1, self.hop :]], 1)
        return (frames[..., : self.hop] + tails).flatten(1), frames[:, -1, self.hop :]

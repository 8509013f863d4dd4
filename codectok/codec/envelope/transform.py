"""The envelope's latents: a linear transform of two frames' bands, fitted once, that both sides share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codectok.codec.envelope.config import FRAMES, EnvelopeCodecConfig


class EnvelopeTransform(nn.Module):
    """Half log energies [B, 2 T, bands] <-> latents [B, T, D], the principal components of two frames together.

    Nothing of it is trained: the encoder divides by the decoded envelope and the decoder multiplies by the same one.
    """

    mean: Tensor
    weights: Tensor
    basis: Tensor

    def __init__(self, config: EnvelopeCodecConfig) -> None:
        super().__init__()
        self.bands = config.bands
        width, dim = FRAMES * config.bands, config.part_dims[2]
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("weights", torch.ones(width))
        self.register_buffer("basis", torch.eye(width)[:, :dim].contiguous())

    def encode(self, envelope: Tensor) -> Tensor:
        """[B, 2 T, bands] -> [B, T, D]."""
        pairs = envelope.reshape(envelope.shape[0], -1, FRAMES * self.bands)
        return ((pairs - self.mean) * self.weights) @ self.basis

    def decode(self, latents: Tensor) -> Tensor:
        """[B, T, D] -> [B, 2 T, bands]."""
        pairs = (latents @ self.basis.T) / self.weights + self.mean
        return pairs.reshape(latents.shape[0], -1, self.bands)

    @torch.no_grad()
    def fit(self, envelope: Tensor, weights: Tensor) -> None:
        """Set mean and basis from pairs of frames [N, 2, bands]; ``weights`` [bands] say how much each band counts."""
        pairs = envelope.reshape(len(envelope), -1)
        self.mean.copy_(pairs.mean(0))
        self.weights.copy_(weights.repeat(FRAMES))
        spread = torch.cov(((pairs - self.mean) * self.weights).T.double())
        vectors = torch.linalg.eigh(spread).eigenvectors.flip(1)[:, : self.basis.shape[1]]
        # An eigenvector's sign is arbitrary: the largest entry is made positive.
        signs = vectors.gather(0, vectors.abs().argmax(0)[None]).sign()
        self.basis.copy_(vectors * signs)

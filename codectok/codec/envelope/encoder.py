"""What is left of the spectrum once the decoded envelope is divided out, and the network that codes it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codectok.codec.convnext import ConvNextStack
from codectok.codec.envelope.config import FRAMES, EnvelopeCodecConfig
from codectok.codec.model import State


class ShapeEncoder(nn.Module):
    """MDCT coefficients over their envelope to shape latents [B, T, D].

    All bands and frames have one scale here, so a fixed number of codebooks serves them all alike, and the error that
    they leave follows the spectrum. Causal ConvNeXt blocks, and a linear path around them that starts as principal
    components.
    """

    def __init__(self, config: EnvelopeCodecConfig) -> None:
        super().__init__()
        self.compression = config.compression
        dim, latent = config.encoder_dim, config.part_dims[3]
        self.input = nn.Linear(config.mdct_hop + config.bands, dim)
        self.blocks = ConvNextStack(dim, config.encoder_depth)
        self.norm = nn.LayerNorm(dim)
        self.output = nn.Linear(FRAMES * dim, latent)
        self.skip = nn.Linear(FRAMES * config.mdct_hop, latent, bias=False)
        nn.init.normal_(self.output.weight, std=1e-3)
        nn.init.zeros_(self.output.bias)

    def compressed(self, coefficients: Tensor, gains: Tensor) -> Tensor:
        """Coefficients over their gains, [B, 2 T, hop], nearly linear up to ``compression``."""
        return torch.asinh(coefficients / (self.compression * gains))

    def step(self, coefficients: Tensor, envelope: Tensor, gains: Tensor, state: State) -> tuple[Tensor, State]:
        """One block.

        Args:
            coefficients: of the MDCT, [B, 2 T, hop].
            envelope: decoded, half log energies [B, 2 T, bands].
            gains: of it, [B, 2 T, hop].
            state: of the blocks.
        """
        shape = self.compressed(coefficients, gains)
        y, state = self.blocks.step(self.input(torch.cat([shape, envelope / 2 + 2], 2)), state)
        y = self.norm(y).reshape(shape.shape[0], -1, self.output.in_features)
        return self.output(y) + self.skip(shape.reshape(*y.shape[:2], -1)), state

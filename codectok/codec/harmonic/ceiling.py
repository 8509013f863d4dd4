"""What keeps a decoder from being too loud: a ceiling for each band that its latents set, and one for every sample.

An output that is an exponential of a network's can explode in a single frame, and losses that take logarithms hardly
mind. Here that cannot happen: latents are sums of codebook vectors, so a linear map of them is a bounded one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.codec.harmonic.mel import mel_filters

SHARPNESS = 2.0
"""Of the bend at the ceiling: a band that is exactly as loud as its ceiling is 1.5 dB lower behind it."""
KNEE = 0.9
"""Samples are left as they are up to this share of the peak."""
OPEN = 12.0
"""Log energy of a ceiling that nothing reaches, which an untrained one has."""
FLOOR = 1e-9
"""Energy that counts as silence."""


class BandCeiling(nn.Module):
    """Turns down the bands of a network frame that are louder than its latents say.

    The ceiling of each band is a linear map of the latents, which starts as an upper quantile of the log energy of
    speech with such latents (:mod:`train_codec.ceiling`). Bands are triangles on the mel scale that add up to 1.

    Args:
        latent_dim: width of the latents of a code frame.
        merge: network frames a code frame.
        hop: MDCT coefficients an MDCT frame.
        bands: number of bands.
        sample_rate: Hz.
    """

    filters: Tensor

    def __init__(self, latent_dim: int, merge: int, hop: int, bands: int, sample_rate: int) -> None:
        super().__init__()
        filters = mel_filters(bands, hop, sample_rate)
        filters[0, 0] = filters[-1, -1] = 1  # where the outermost triangles begin
        self.register_buffer("filters", filters / filters.sum(1, keepdim=True), persistent=False)
        self.level = nn.Linear(latent_dim, merge * bands)
        with torch.no_grad():
            self.level.weight.zero_()
            self.level.bias.fill_(OPEN)

    def energies(self, coefficients: Tensor, frames: int) -> Tensor:
        """Natural log energies [B, frames, bands] of MDCT coefficients [B, frames * fold, hop]."""
        power = coefficients.square().unflatten(1, (frames, -1)).sum(2)
        return (power @ self.filters + FLOOR).log()

    def ceilings(self, z: Tensor) -> Tensor:
        """Largest natural log energies [B, T * merge, bands] of latents [B, T, latent_dim]."""
        return self.level(z).float().reshape(z.shape[0], -1, self.filters.shape[1])

    def forward(self, coefficients: Tensor, ceilings: Tensor) -> Tensor:
        """MDCT coefficients [B, N, hop] with every band smoothly kept below its ceiling [B, frames, bands]."""
        frames = ceilings.shape[1]
        excess = self.energies(coefficients, frames) - ceilings
        gain = (F.softplus(SHARPNESS * excess) @ self.filters.T / (-2 * SHARPNESS)).exp()
        return (coefficients.unflatten(1, (frames, -1)) * gain[:, :, None]).flatten(1, 2)

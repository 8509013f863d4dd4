"""The encoder's first look: MDCT coefficients, and log energies of the bands around them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from codectok.codec.envelope.bands import erb_filters
from codectok.codec.envelope.config import EnvelopeCodecConfig
from codectok.codec.mdct import mdct_basis

FLOOR = 3e-8
"""Power a coefficient (that of a sample) under which all is silence: -75 dB of full scale."""


def mdst_basis(hop: int) -> Tensor:
    """The MDCT's quadrature, float32 [2 * hop, hop]: the same window and frequencies, sines for cosines."""
    n = torch.arange(2 * hop, dtype=torch.float64)
    k = torch.arange(hop, dtype=torch.float64)
    window = torch.sin(math.pi * (n + 0.5) / (2 * hop))
    phase = math.pi / hop * (n[:, None] + 0.5 + hop / 2) * (k[None, :] + 0.5)
    return (math.sqrt(2.0 / hop) * window[:, None] * torch.sin(phase)).float()


class BandSpectrum(nn.Module):
    """Samples to MDCT coefficients and band energies; causal, without parameters, float32 under any autocast.

    Energies are of MDCT and MDST together (the modulated complex lapped transform, Malvar 1999): those of the MDCT
    alone beat with the phase of every tone, which costs bits and tells nothing.
    """

    cosines: Tensor
    sines: Tensor
    pool: Tensor
    spread: Tensor

    def __init__(self, config: EnvelopeCodecConfig) -> None:
        super().__init__()
        self.hop = config.mdct_hop
        pool, spread = erb_filters(config.bands, self.hop, config.sample_rate)
        tables = {"cosines": mdct_basis(self.hop), "sines": mdst_basis(self.hop), "pool": pool, "spread": spread}
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def analyse(self, joined: Tensor) -> tuple[Tensor, Tensor]:
        """Samples [B, (T + 1) * hop] -> coefficients [B, T, hop] and half log energies [B, T, bands].

        Frame t is of samples [t * hop, (t + 2) * hop): what is given begins one hop before the first frame's own.
        """
        frames = joined.unfold(1, 2 * self.hop, self.hop)
        coefficients = frames @ self.cosines
        power = (coefficients.square() + (frames @ self.sines).square()) / 2
        return coefficients, 0.5 * torch.log(power @ self.pool + FLOOR)

    def gains(self, envelope: Tensor) -> Tensor:
        """Half log energies of bands [..., bands] -> amplitudes of bins [..., hop], for dividing."""
        return torch.exp(envelope @ self.spread.T)

    def audible_gains(self, envelope: Tensor) -> Tensor:
        """The same for multiplying: what stands at the floor is silence, or nearly so."""
        power = torch.exp(2 * (envelope @ self.spread.T)) - 2 * FLOOR
        return (power.clamp_min(0) + 1e-12).sqrt()

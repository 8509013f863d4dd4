"""The decoder's source: pulses, their quadrature and noise, each made as loud as the envelope asks in every band."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from codectok.codec.envelope.config import EnvelopeCodecConfig
from codectok.codec.envelope.pitch import hertz_of
from codectok.codec.harmonic.excitation import Excitation
from codectok.codec.model import State

LEAST = 0.05
"""Added to a band's energy (of 1 where pulses are dense): a band between two harmonics is not blown up."""


class Source(NamedTuple):
    """MDCT coefficients [B, 2 T, hop] each."""

    pulses: Tensor
    quadrature: Tensor
    noise: Tensor
    power: Tensor
    """Of pulses and quadrature, whatever their phase."""


class LevelSource(nn.Module):
    """Pitch latents to a source of variance 1 in every band, by :class:`Excitation`; without parameters."""

    def __init__(self, config: EnvelopeCodecConfig) -> None:
        super().__init__()
        hop = config.mdct_hop
        self.excitation = Excitation(config.sample_rate, hop, hop, config.noise_frames)

    def step(self, pitch: Tensor, pool: Tensor, spread: Tensor, state: State) -> tuple[Source, State]:
        """One block of pitch latents [B, T, 4]; ``pool`` and ``spread`` are those of the bands."""
        pulses, quadrature, noise, state = self.excitation.step(hertz_of(pitch), state)
        power = (pulses.square() + quadrature.square()) / 2
        scale = torch.rsqrt((power @ pool) @ spread.T + LEAST)
        return Source(pulses * scale, quadrature * scale, noise, power * scale.square()), state

"""Output coefficients that cannot be much louder than the decoded envelope, whatever the network says.

Decoders that end in an exponential explode now and then, and losses that take logarithms forgive it. Here everything
that the network adds is bounded, its energy is counted in each band, drawn towards the envelope's and limited, and only
then multiplied by the envelope.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from codectok.codec.envelope.source import Source

SHAPE_LIMIT = 8.0
"""Of shape coefficients, in units of the envelope."""
SOURCE_LIMIT = 1.5
"""Of the gains of pulses, quadrature and noise."""
ENERGY_LIMIT = 3.0
"""Of a band's energy over the envelope's: it is this in the limit of any input."""
CORRECTION = math.log(2)
"""Of the envelope, either way: 6 dB."""
KNEE, ROOM = 0.9, 0.088
"""Samples are as they are up to the knee, and never more than knee + room: -0.1 dBFS."""


def mix(raw: Tensor, shape: Tensor, present: Tensor, source: Source) -> tuple[Tensor, Tensor]:
    """What the network says, as coefficients and their expected energies, [B, N, hop] each.

    Args:
        raw: outputs of the network [B, N, 4, hop]: shape, and gains of pulses, quadrature and noise.
        shape: from the shape latents by the linear path, [B, N, hop].
        present: 1 in frames that have shape codes, else 0, [B, N, 1].
        source: what the gains weigh.
    """
    waveform, pulses, quadrature, noise = raw.unbind(2)
    waveform = SHAPE_LIMIT * torch.tanh((waveform + shape) / SHAPE_LIMIT) * present
    pulses, quadrature = SOURCE_LIMIT * torch.tanh(pulses), SOURCE_LIMIT * torch.tanh(quadrature)
    noise = SOURCE_LIMIT * torch.sigmoid(noise)
    mixed = waveform + pulses * source.pulses + quadrature * source.quadrature + noise * source.noise
    energy = waveform.square() + (pulses.square() + quadrature.square()) * source.power + noise.square()
    return mixed, energy


def band_gains(energy: Tensor, pull: Tensor, correction: Tensor) -> Tensor:
    """Log gains of bands that take mixed coefficients to their places under the envelope, [B, N, bands] each.

    Args:
        energy: mean in each band, in units of the envelope's.
        pull: any number; its sigmoid is the share of the way (in dB) that the energy is drawn to the envelope's.
        correction: any number; up to 6 dB either way.
    """
    drawn = -0.5 * torch.sigmoid(pull) * torch.log(energy + 0.02)
    limited = -0.25 * torch.log1p((energy * torch.exp(2 * drawn) / ENERGY_LIMIT).square())
    return drawn + limited + CORRECTION * torch.tanh(correction)

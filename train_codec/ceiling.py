"""Ceilings of the harmonic decoder's bands: what its latents say that speech does not exceed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from codectok.codec.harmonic import HarmonicCodec

QUANTILE = 0.95
"""Share of speech below the ceiling."""
RANGE = 14.0
"""Natural log energies are counted as no less than so much below the crop's loudest band."""
RIDGE = 10.0


@torch.no_grad()
def targets(codec: HarmonicCodec, audio: Tensor) -> Tensor:
    """Natural log energies [B, T * merge, bands] of samples [B, T * frame_size], as the decoder's bands have them."""
    ceiling, decoder = codec.decoder.ceiling, codec.decoder
    assert ceiling is not None
    with torch.autocast(audio.device.type, enabled=False):
        coefficients, _ = codec.encoder.analysis.mdct.step(audio.float(), None)
        energies = ceiling.energies(coefficients, audio.shape[1] // decoder.config.frame)
    return torch.maximum(energies, energies.amax((1, 2), keepdim=True) - RANGE)


def ceiling_loss(codec: HarmonicCodec, ceilings: Tensor, audio: Tensor) -> Tensor:
    """Quantile (pinball) loss of ceilings [B, T * merge, bands] for samples [B, T * frame_size], a scalar."""
    with torch.autocast(audio.device.type, enabled=False):
        above = targets(codec, audio) - ceilings.float()
    return torch.maximum(QUANTILE * above, (QUANTILE - 1) * above).mean()


@torch.no_grad()
def fit_ceiling(codec: HarmonicCodec, latents: Sequence[Tensor], audio: Sequence[Tensor]) -> None:
    """Start the ceilings at the least-squares map from latents to energies, raised to the quantile.

    Args:
        codec: with ``ceiling_bands``.
        latents: quantized, [B, T, D] each.
        audio: samples of the same, [B, T * frame_size] each.
    """
    assert codec.decoder.ceiling is not None
    level = codec.decoder.ceiling.level
    x = torch.cat([z.flatten(0, 1).float() for z in latents])
    y = torch.cat([targets(codec, a).reshape(-1, level.out_features) for a in audio])
    x = torch.cat([x, x.new_ones(len(x), 1)], 1)
    solved = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1], device=x.device), x.T @ y)
    level.weight.copy_(solved[:-1].T)
    level.bias.copy_(solved[-1] + (y - x @ solved).quantile(QUANTILE, 0))

"""A Gaussian channel in the place of a quantizer: smooth gradients, no codebook to chase, a rate that can be held.

Latents go to the decoder with noise of variance 1. What they carry through it, if they were Gaussian, is
R = 1/2 log2 det(I + C) bits a frame (C their covariance); a penalty on R, its weight following what holds R at a
target, makes the encoder spend bits where they help, as residual codebooks of so many bits will afterwards. Compare
the noise substitution of learned image coding (Balle et al. 2017) and rate-distortion by log det (Ma et al. 2007).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from codectok.codec.ranks import sum_over_ranks

MOVE = 0.02
"""Share of a step in the running covariance."""
GAIN = 0.01
"""How far (natural log) the weight moves in a step that is off by the whole rate or more."""
LEAST, MOST = 1e-3, 0.2
"""Of the weight."""
QUIET_DB = 40.0
"""Frames further below the loudest of their crop are not counted: silence would pass for a rate saved."""


class NoiseChannel(nn.Module):
    """Running statistics of latents, and the penalty on their rate. All of it stands in the checkpoint.

    Args:
        dim: width of the latents.
        rate: bits a frame that they are held at.
        weight: of the penalty, to begin with.
    """

    mean: Tensor
    covariance: Tensor
    weight: Tensor

    def __init__(self, dim: int, rate: float, weight: float) -> None:
        super().__init__()
        self.target = rate
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("covariance", 4 * torch.eye(dim))
        self.register_buffer("weight", torch.tensor(weight))

    def bits(self) -> Tensor:
        """R, a scalar."""
        return 0.5 * torch.logdet(self._whole()) / math.log(2)

    def forward(self, z: Tensor, counted: Tensor) -> Tensor:
        """Penalty of latents [B, T, D] in the frames ``counted``, bool [B, T]; moves statistics and weight.

        Its gradient is that of the rate times the weight: d R / d z is what follows from the quadratic form below with
        C held fixed.
        """
        rows = z[counted].float()
        with torch.autocast(z.device.type, enabled=False):
            with torch.no_grad():
                self._move(rows)
            centred = rows - self.mean
            forms = (torch.linalg.solve(self._whole(), centred.T) * centred.T).sum()
            return self.weight.clone() * 0.5 / math.log(2) * forms / max(1, len(rows))

    def _whole(self) -> Tensor:
        return torch.eye(len(self.mean), device=self.mean.device) + self.covariance

    def _move(self, rows: Tensor) -> None:
        one = rows.new_ones(len(rows), 1)
        joined = torch.cat([one, rows], 1)
        (sums,) = sum_over_ranks([joined.T @ joined])
        number = sums[0, 0]
        if number < 2:
            return
        mean = sums[0, 1:] / number
        covariance = sums[1:, 1:] / number - torch.outer(mean, mean)
        self.mean.lerp_(mean, MOVE)
        self.covariance.lerp_(covariance, MOVE)
        off = ((self.bits() - self.target) / self.target).clamp(-1, 1)
        self.weight.mul_((GAIN * off).exp()).clamp_(LEAST, MOST)


def audible(audio: Tensor, frames: int) -> Tensor:
    """Frames of samples [B, S] that are within 40 dB of the crop's loudest, bool [B, frames]."""
    energy = audio.reshape(audio.shape[0], frames, -1).square().mean(2)
    return energy > energy.amax(1, keepdim=True) * 10 ** (-QUIET_DB / 10)

"""Losses that hear how loud a signal is, and where: what PESQ, STOI and perceptual losses forgive.

The logarithms of other spectral losses hardly mind a frame that is a hundred times too loud, as long as the frames
around it are right; here it costs what it is.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from train_codec.losses.spectrum import check_pair, full_precision

LOWEST = 100
"""Hz of the first octave's lower edge; below it is one band more, and above the last whole octave another."""
FLOOR = 1e-4
"""Energy in a band and frame counts as no less than this share of the target's loudest."""
SILENCE = 1e-7
"""Energy that counts as silence in a crop without sound."""
FREE = 10 ** (4.5 / 20)
"""Amplitude over the target's from which on ``excess`` counts: what lies below, chance gives a noise."""
TOLERATED = 0.3
"""Bels over the target's energy from which on ``over`` counts."""


class LevelLosses(nn.Module):
    """Level of each crop, of octave bands in frames, and bursts, from windows of 40 ms every 20 ms.

    Windows are square roots of Hann's, whose squares add up to 1, so that energies of frames add up to the crop's.

    Args:
        sample_rate: Hz.
    """

    window: Tensor
    bands: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.hop = sample_rate // 50
        n = 2 * self.hop
        hertz = torch.arange(n // 2 + 1) * sample_rate / n
        count = int(torch.log2(torch.tensor(sample_rate / 2 / LOWEST)))
        edges = [0.0, *(float(LOWEST * 2**i) for i in range(count + 1)), float(sample_rate)]
        inside = [(hertz >= low) & (hertz < high) for low, high in pairwise(edges)]
        self.register_buffer("window", torch.hann_window(n).sqrt(), persistent=False)
        self.register_buffer("bands", torch.stack(inside, 1).float() * 2 / n, persistent=False)

    def energies(self, x: Tensor) -> Tensor:
        """Energy [B, T, bands] of samples [B, S]."""
        z = torch.stft(x, len(self.window), self.hop, window=self.window, center=False, return_complex=True).mT
        return (z.real.square() + z.imag.square()) @ self.bands

    def forward(self, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Scalars of waveforms [B, S], each 0 for equal ones:

        - ``level``: absolute log10 ratio of energies, half of the whole crop's and half of its bands', on average;
        - ``bands``: the same of each band and frame;
        - ``excess``: mean over active frames of the sum over bands of the ratio of amplitudes beyond 4.5 dB: linear,
          so that a burst is as bad as it is loud, and one-sided, so that it does not pull noise towards silence;
        - ``over``: the same of the ratio of energies beyond 3 dB, in bels: for many frames that are somewhat too loud,
          which ``excess`` forgives for the sake of few that are far too loud.

        Raises:
            AudioError: the shapes differ, or the crops are shorter than a window.
        """
        predicted, target = check_pair(predicted, target, 2 * len(self.window))
        with full_precision(predicted):
            p, t = self.energies(predicted), self.energies(target)
            floor = (t.amax((1, 2), keepdim=True) * FLOOR).clamp_min(SILENCE)
            frames = t.sum(2)
            active = (frames >= frames.amax(1, keepdim=True) * FLOOR).float()
            p, t = p + floor, t + floor
            burst = ((p / t).sqrt() - FREE).clamp_min(0).sum(2)
            over = (p.log10() - t.log10() - TOLERATED).clamp_min(0).sum(2)
            octaves, whole = ((q(p).log10() - q(t).log10()).abs().mean() for q in (_octaves, _whole))
            return {
                "level": (octaves + whole) / 2,
                "bands": (p.log10() - t.log10()).abs().mean(),
                "excess": (burst * active).sum() / active.sum(),
                "over": (over * active).sum() / active.sum(),
            }


def _octaves(energies: Tensor) -> Tensor:
    return energies.mean(1)


def _whole(energies: Tensor) -> Tensor:
    return energies.mean(1).sum(1)


def to_level(predicted: Tensor, target: Tensor, dbfs: float) -> tuple[Tensor, Tensor]:
    """Both waveforms [B, S] times the gain that brings the target to an RMS of ``dbfs``.

    So that floors of logarithms mean the same for quiet crops as for loud ones. Targets below -60 dBFS are taken for
    such: silence stays silent. One gain for both, so that the difference of their levels stays what it is.

    Raises:
        AudioError: the shapes differ or are not [B, S].
    """
    predicted, target = check_pair(predicted, target)
    gain = 10 ** (dbfs / 20) / target.square().mean(1, keepdim=True).sqrt().clamp_min(1e-3)
    return predicted * gain, target * gain

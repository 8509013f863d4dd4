"""Loudness distance after the perceptual model of ITU-T P.862 (PESQ), differentiable, for 16 kHz speech.

Martin-Donas et al. 2018 (PMSQE) train speech enhancement with such a loss. It is blind to phase and to slow changes of
gain and colour, so it complements spectral losses and does not replace them. Against PESQ it leaves out the alignment
in time and the search for bad intervals; on decoded speech its prediction correlates with PESQ at .9.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codectok.errors import AudioError
from train_codec.losses import p862
from train_codec.losses.spectrum import check_pair, full_precision

FRAME = 512
"""32 ms; frames overlap by half."""


class PerceptualLoss(nn.Module):
    """Symmetric and asymmetric loudness disturbance; 0 for equal signals; the score that P.862.2 gives is
    about 3.9 at 1, 2.6 at 2 and 1.6 at 3.

    Raises:
        AudioError: a sample rate other than 16 kHz, which the model's tables are for.
    """

    bands: Tensor
    speech_band: Tensor
    window: Tensor
    threshold: Tensor
    exponent: Tensor
    width: Tensor

    def __init__(self, sample_rate: int = 16000) -> None:
        super().__init__()
        if sample_rate != 16000:
            raise AudioError(f"the perceptual loss is for 16000 Hz, not {sample_rate}: set perceptual_weight to 0")
        bins = FRAME // 2 + 1
        bands = torch.zeros(bins, len(p862.BINS_PER_BAND), dtype=torch.float64)
        at = 0
        for band, (count, correction) in enumerate(
            zip(p862.BINS_PER_BAND, p862.table(p862.POWER_CORRECTION), strict=True)
        ):
            bands[at : at + count, band] = correction * p862.POWER_SCALE
            at += count
        bands[0] = 0
        z = torch.exp(-1j * torch.linspace(0, torch.pi, bins, dtype=torch.float64))
        above, below = (torch.stack([c * z**n for n, c in enumerate(part)]).sum(0) for part in p862.PREFILTER)
        response = (above / below).abs().square()
        hertz = torch.linspace(0, sample_rate / 2, bins)
        centre = torch.tensor(p862.table(p862.CENTRE_BARK))
        tables = {
            "bands": (bands * response[:, None]).float(),
            "speech_band": ((hertz >= 325) & (hertz <= 3250)).float(),
            "window": torch.hann_window(FRAME),
            "threshold": torch.tensor(p862.table(p862.THRESHOLD)),
            "exponent": (6 / (centre + 2)).clamp(1, 2).pow(0.15) * 0.23,
            "width": torch.tensor(p862.table(p862.WIDTH_BARK)),
        }
        for name, value in tables.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Mean over the items of waveforms [B, S], S at least .35 s.

        Raises:
            AudioError: the shapes differ, or the crops are too short.
        """
        predicted, target = check_pair(predicted, target)
        if target.shape[1] < 21 * FRAME // 2:
            raise AudioError(f"the perceptual loss needs crops of {21 * FRAME // 2} samples, got {target.shape[1]}")
        with full_precision(predicted):
            return self._disturbance(predicted, target).mean()

    def _disturbance(self, predicted: Tensor, target: Tensor) -> Tensor:
        """[B]."""
        decoded = self._bark(predicted)
        with torch.no_grad():
            reference, degraded = self._bark(target), decoded.detach()
            spoken = (self._audible(reference, 1e2) >= 1e7)[..., None]
            # The listener adapts to a constant colour of the channel, and within limits to its gain.
            ratio = (self._average(degraded, spoken) + 1e3) / (self._average(reference, spoken) + 1e3)
            reference = reference * ratio.clamp(0.01, 100)
            total = self._audible(reference, 1)
            gain = (total + 5e3) / (self._audible(degraded, 1) + 5e3)
            gain = torch.cat([gain[:, :1], 0.8 * gain[:, 1:] + 0.2 * gain[:, :-1]], 1).clamp(3e-4, 5)
        degraded = decoded * gain[..., None]
        heard, meant = self._loudness(degraded), self._loudness(reference)
        difference = heard - meant
        masked = 0.25 * torch.minimum(heard, meant)
        difference = (difference.sign() * (difference.abs() - masked).clamp_min(0))[..., 1:]
        with torch.no_grad():
            # What the codec adds is worse than what it leaves out.
            asymmetry = ((degraded + 50) / (reference + 50)).pow(1.2)[..., 1:]
            asymmetry = torch.where(asymmetry < 3, 0.0, asymmetry.clamp_max(12))
            emphasis = ((total + 1e5) / 1e7).pow(0.04)
        width = self.width[1:]
        symmetric = width.sum().sqrt() * ((difference * width).square().sum(-1) + 1e-9).sqrt()
        asymmetric = (difference * asymmetry * width).abs().sum(-1)
        parts = (_pool((d / emphasis).clamp_max(45)) for d in (symmetric, asymmetric))
        return sum(w * p for w, p in zip((0.1, 0.0309), parts, strict=True))  # type: ignore[return-value]

    def _bark(self, x: Tensor) -> Tensor:
        """Band powers [B, T, 49] at the level that the model listens at."""
        z = torch.stft(x, FRAME, FRAME // 2, window=self.window, center=False, return_complex=True).mT
        power = z.real.square() + z.imag.square()
        level = (power.mean(1) @ self.speech_band) * 2 / FRAME / self.window.square().sum()
        return (power * (1e7 / level.clamp_min(1e-9))[:, None, None]) @ self.bands

    def _audible(self, power: Tensor, factor: float) -> Tensor:
        return (power * (power > self.threshold * factor)).sum(-1)

    def _average(self, power: Tensor, spoken: Tensor) -> Tensor:
        return (power * (power > self.threshold * 100) * spoken).mean(1, keepdim=True)

    def _loudness(self, power: Tensor) -> Tensor:
        """Zwicker's law, in sone."""
        t, e = self.threshold, self.exponent
        sone = (2 * t).pow(e) * ((0.5 + 0.5 * power / t).pow(e) - 1)
        return p862.LOUDNESS_SCALE * sone.clamp_min(0)


def _pool(x: Tensor) -> Tensor:
    """Over time [B, T] -> [B]: bad fifths of a second outweigh good ones."""
    return (x.unfold(1, 20, 10).pow(6).mean(2) + 1e-12).pow(1 / 6).square().mean(1).sqrt()

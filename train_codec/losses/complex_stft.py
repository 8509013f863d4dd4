"""Power-compressed complex distance, and the pair of mel and complex distance over shared spectra."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from train_codec.losses.mel import mel_filters
from train_codec.losses.spectrum import check_pair, full_precision, magnitude, spectrum, unit_window


def complex_distance(
    p: Tensor, p_mag: Tensor, t: Tensor, t_mag: Tensor, power: float = 0.3, weights: Tensor | None = None
) -> Tensor:
    """Mean squared distance of spectra whose magnitudes are raised to ``power`` and whose phases are kept.

    p and t are complex [B, F, T] with magnitudes p_mag and t_mag (a floor added). Braun and Tashev 2020 use it for
    speech enhancement: it ties the phase, and compression keeps the loud low bins from drowning the rest. ``weights``
    [B], if given, multiply the items' distances before the mean.
    """
    p_gain, t_gain = p_mag.pow(power - 1), t_mag.pow(power - 1)
    each = (p.real * p_gain - t.real * t_gain).square() + (p.imag * p_gain - t.imag * t_gain).square()
    return each.mean() if weights is None else (each.mean((1, 2)) * weights).mean()


class SpectralLosses(nn.Module):
    """Log-mel L1 (as DAC, Kumar et al. 2023) and power-compressed complex distance, over several window lengths.

    Each spectrum is computed once for both. The mel term shapes what is heard; the complex term ties the phase where
    it can be coded. The log floor of -60 dB keeps digital silence from dominating.
    """

    def __init__(self, sample_rate: int, windows: Sequence[int]) -> None:
        super().__init__()
        self.windows = list(windows)
        for n in self.windows:
            self.register_buffer(f"window_{n}", unit_window(n), persistent=False)
            self.register_buffer(f"mel_{n}", mel_filters(max(6, n * 5 // 64), n, sample_rate), persistent=False)

    def _view(self, x: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Spectrum, magnitude and log10 mel of samples [B, S]."""
        z = spectrum(x, self.get_buffer(f"window_{n}"), n // 4)
        mag = magnitude(z)
        return z, mag, (mag.mT @ self.get_buffer(f"mel_{n}")).clamp_min(1e-3).log10()

    def forward(
        self,
        predicted: Tensor,
        target: Tensor,
        which: Sequence[int] | None = None,
        phase_weights: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """``mel`` and ``complex``, averaged over the window lengths ``which`` (all, if None); waveforms [B, S].

        ``phase_weights`` [B] multiply the items' complex distances: an item coded with too few bits to carry phase is
        better off without.

        Raises:
            AudioError: the shapes differ, or the crop is shorter than half the longest window.
        """
        which = self.windows if which is None else which
        predicted, target = check_pair(predicted, target, max(which))
        mel = predicted.new_zeros(())
        complex_ = predicted.new_zeros(())
        with full_precision(predicted):
            for n in which:
                with torch.no_grad():
                    t, t_mag, t_mel = self._view(target, n)
                p, p_mag, p_mel = self._view(predicted, n)
                mel = mel + (p_mel - t_mel).abs().mean()
                complex_ = complex_ + complex_distance(p, p_mag, t, t_mag, weights=phase_weights)
        return {"mel": mel / len(which), "complex": complex_ / len(which)}

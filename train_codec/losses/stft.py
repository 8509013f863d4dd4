"""Multi-resolution STFT loss of Parallel WaveGAN (Yamamoto, Song and Kim 2020, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from codectok.errors import CodectokError
from train_codec.losses.spectrum import check_pair, full_precision, magnitude, spectrum


class MultiResolutionSTFTLoss(nn.Module):
    """Spectral convergence and log-magnitude L1, each averaged over the resolutions.

    Convergence, || |Y| - |X| ||_F / || |Y| ||_F, is taken for each item and then averaged, so that an item's loss does
    not depend on its neighbours; it looks at the peaks. The log magnitude looks at the valleys. The paper adds both
    with weight 1. Resolutions are (transform, hop, window) in samples, by default the paper's.

    Raises:
        CodectokError: a transform that is not a power of two (slow, and its bins match no other resolution's), or is
            shorter than its window.
    """

    def __init__(
        self, resolutions: Sequence[tuple[int, int, int]] = ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200))
    ) -> None:
        super().__init__()
        self.resolutions = list(resolutions)
        for n_fft, _, length in self.resolutions:
            if n_fft & (n_fft - 1) or length > n_fft:
                raise CodectokError(f"STFT of {n_fft}: use a power of two that is at least the window ({length})")
        for i, (_, _, length) in enumerate(self.resolutions):
            self.register_buffer(f"window_{i}", torch.hann_window(length), persistent=False)

    def forward(self, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """``convergence`` and ``log_magnitude`` of two waveforms [B, S].

        Raises:
            AudioError: the shapes differ, or the crop is shorter than half the longest transform.
        """
        predicted, target = check_pair(predicted, target, max(n for n, _, _ in self.resolutions))
        convergence = predicted.new_zeros(())
        log_magnitude = predicted.new_zeros(())
        with full_precision(predicted):
            for i, (n_fft, hop, _) in enumerate(self.resolutions):
                window = self.get_buffer(f"window_{i}")
                with torch.no_grad():
                    t = magnitude(spectrum(target, window, hop, n_fft), 1e-7)
                p = magnitude(spectrum(predicted, window, hop, n_fft), 1e-7)
                convergence = convergence + ((t - p).flatten(1).norm(dim=1) / t.flatten(1).norm(dim=1)).mean()
                log_magnitude = log_magnitude + (t.log() - p.log()).abs().mean()
        n = len(self.resolutions)
        return {"convergence": convergence / n, "log_magnitude": log_magnitude / n}

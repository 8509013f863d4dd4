"""The losses of one pass, weighted, and what they are made of."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from codectok.errors import FormatError
from train_codec.generator import GeneratorOutput
from train_codec.losses import (
    BandNoiseLoss,
    EncodecMelLoss,
    LevelLosses,
    MelLoss,
    SpectralLosses,
    l1_loss,
    waveform_loss,
)
from train_codec.losses.perceptual import PerceptualLoss
from train_codec.losses.stft import MultiResolutionSTFTLoss
from train_codec.recipe import Recipe

SMALLEST_PHASE_WEIGHT = 0.15
MEL_LOSSES: dict[str, type[MelLoss] | type[EncodecMelLoss] | None] = {
    "shared": None,
    "dac": MelLoss,
    "encodec": EncodecMelLoss,
}


class Objective(nn.Module):
    """Reconstruction losses of a recipe.

    Two kinds: those of the waveform alone (``waveform_terms``), which a balancer may weigh by their gradients, and
    those inside the codec (``inner_terms``): commitment, codebook, distillation, pitch.
    """

    def __init__(self, recipe: Recipe, sample_rate: int, levels: int) -> None:
        super().__init__()
        self.settings = s = recipe.loss
        self.levels, self.seed = levels, recipe.run.seed
        if s.mel_kind not in MEL_LOSSES:
            raise FormatError(f"mel_kind {s.mel_kind!r}: give one of {', '.join(MEL_LOSSES)}")
        own_mel = MEL_LOSSES[s.mel_kind]
        self.mel = own_mel(sample_rate) if own_mel is not None and s.mel_weight else None
        shared = s.complex_weight or (own_mel is None and s.mel_weight)
        self.spectral = SpectralLosses(sample_rate, s.windows) if shared else None
        self.stft = MultiResolutionSTFTLoss() if s.stft_weight else None
        level = s.level_weight or s.bands_weight or s.excess_weight or s.over_weight
        self.level = LevelLosses(sample_rate) if level else None
        self.band_noise = BandNoiseLoss(sample_rate) if s.band_noise_weight else None
        self.perceptual = PerceptualLoss(sample_rate) if s.perceptual_weight else None
        self.waveform_weights = {
            "mel": s.mel_weight,
            "complex": s.complex_weight,
            "stft_convergence": s.stft_weight,
            "stft_log_magnitude": s.stft_weight,
            "waveform": s.waveform_weight,
            "l1": s.l1_weight,
            "band_noise": s.band_noise_weight,
            "perceptual": s.perceptual_weight,
            "level": s.level_weight,
            "bands": s.bands_weight,
            "excess": s.excess_weight,
            "over": s.over_weight,
            "adversarial": recipe.adversarial.adversarial_weight if recipe.adversarial.discriminators else 0.0,
            "feature": recipe.adversarial.feature_weight if recipe.adversarial.discriminators else 0.0,
        }
        self.waveform_weights = {k: w for k, w in self.waveform_weights.items() if w}
        self.inner_weights = {
            "commitment": s.commitment_weight,
            "codebook": s.codebook_weight,
            "distillation": recipe.distill.distill_weight if recipe.distill.teacher else 0.0,
            "pitch": s.pitch_weight,
            "ceiling": s.ceiling_weight,
            "rate": 1.0,  # the noise channel weighs it itself
        }

    def phase_weights(self, depths: Tensor | None) -> Tensor | None:
        """Weight [B] of each item's phase-bound losses: 0 up to ``phase_from`` codebooks, 1 with all."""
        if depths is None or not self.settings.phase_from:
            return None
        first = self.settings.phase_from
        share = (depths - first).float() / (self.levels - first)
        return torch.where(depths > first, share.clamp(SMALLEST_PHASE_WEIGHT, 1.0), 0.0)

    def waveform_terms(self, predicted: Tensor, target: Tensor, step: int, depths: Tensor | None) -> dict[str, Tensor]:
        """Losses of waveforms [B, S], without weights; the window lengths are drawn by the step."""
        s, phase = self.settings, self.phase_weights(depths)
        terms: dict[str, Tensor] = {}
        if self.spectral is not None:
            rng = np.random.default_rng((self.seed, step, 2))
            which = [int(n) for n in rng.choice(s.windows, s.windows_per_step, replace=False)]
            terms |= self.spectral(predicted, target, which, phase)
        if self.mel is not None:
            terms["mel"] = self.mel(predicted, target)
        if self.stft is not None:
            terms |= {f"stft_{k}": v for k, v in self.stft(predicted, target).items()}
        if s.waveform_weight:
            terms["waveform"] = waveform_loss(predicted, target, phase)
        if s.l1_weight:
            terms["l1"] = l1_loss(predicted, target)
        if self.level is not None:
            terms |= self.level(predicted, target)
        if self.band_noise is not None:
            terms["band_noise"] = self.band_noise(predicted, target, phase)
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual(predicted, target)
        return {k: v for k, v in terms.items() if k in self.waveform_weights}

    def inner_terms(self, output: GeneratorOutput) -> dict[str, Tensor]:
        """Losses inside the codec, without weights."""
        terms = {
            "commitment": output.commitment,
            "codebook": output.codebook,
            "distillation": output.distillation,
            "pitch": output.pitch,
            "ceiling": output.ceiling,
            "rate": output.rate,
        }
        return {k: v for k, v in terms.items() if self.inner_weights[k] and v.requires_grad}

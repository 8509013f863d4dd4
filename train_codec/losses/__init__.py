"""Losses of codec training, one paper a file. All take float waveforms [B, S] and give float32 scalars."""

from train_codec.losses.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss, adversarial_loss
from train_codec.losses.balancer import Balancer
from train_codec.losses.band_noise import BandNoiseLoss
from train_codec.losses.complex_stft import SpectralLosses, complex_distance
from train_codec.losses.feature_matching import feature_matching
from train_codec.losses.level import LevelLosses, to_level
from train_codec.losses.mel import EncodecMelLoss, MelLoss, mel_filters
from train_codec.losses.stft import MultiResolutionSTFTLoss
from train_codec.losses.waveform import l1_loss, waveform_loss

__all__ = [
    "ADVERSARIAL_LOSSES",
    "AdversarialLoss",
    "Balancer",
    "BandNoiseLoss",
    "EncodecMelLoss",
    "LevelLosses",
    "MelLoss",
    "MultiResolutionSTFTLoss",
    "SpectralLosses",
    "adversarial_loss",
    "complex_distance",
    "feature_matching",
    "l1_loss",
    "mel_filters",
    "to_level",
    "waveform_loss",
]

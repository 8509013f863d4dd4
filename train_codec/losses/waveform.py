"""Distances between waveforms."""

from __future__ import annotations

from torch import Tensor

from train_codec.losses.spectrum import check_pair


def l1_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of samples (EnCodec, Défossez et al. 2022, l_t); both [B, S].

    Raises:
        AudioError: the shapes differ or are not [B, S].
    """
    predicted, target = check_pair(predicted, target)
    return (predicted - target).abs().mean()


def waveform_loss(predicted: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean absolute error relative to each item's RMS, so that quiet clips count as much as loud ones; both [B, S].

    Items below -40 dBFS count as if they were at -40 dBFS. ``weights`` [B], if given, multiply the items' errors.

    Raises:
        AudioError: the shapes differ or are not [B, S].
    """
    predicted, target = check_pair(predicted, target)
    scale = target.square().mean(1, keepdim=True).sqrt().clamp_min(1e-2)
    each = (predicted - target).abs() / scale
    return each.mean() if weights is None else (each.mean(1) * weights).mean()

"""The pitch that the harmonic codec should be driven with: read from the crop itself, with a view of what follows."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from codectok.codec.harmonic import HarmonicCodec
from codectok.codec.harmonic.config import PITCH_CENTRE, PITCH_SCALE

VOICED = 0.5


@torch.no_grad()
def pitch_targets(codec: HarmonicCodec, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Natural log of the pitch in Hz and whether there is one, [B, S / frame] each, of samples [B, S].

    The codec's own estimate of three frames, but centred on each frame: the encoder, which is causal, sees the last of
    them a frame later.
    """
    analysis = codec.encoder.analysis
    with torch.autocast(audio.device.type, enabled=False):
        scaled, voicing = analysis.pitch(F.pad(audio.float(), (analysis.frame, analysis.frame))).unbind(-1)
    log_pitch = scaled / voicing.clamp_min(1e-3) / PITCH_SCALE + math.log(PITCH_CENTRE)
    return log_pitch, voicing > VOICED


def pitch_loss(log_pitch: Tensor, targets: tuple[Tensor, Tensor]) -> Tensor:
    """Mean absolute error [B, n] of the voiced frames, as a share of all frames: the same however a batch is split."""
    target, voiced = targets
    n = min(log_pitch.shape[1], target.shape[1])
    error = (log_pitch[:, :n] - target[:, :n]).abs()
    return torch.where(voiced[:, :n], error, 0.0).mean()

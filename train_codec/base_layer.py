"""The envelope codec's base layer, fitted before its networks are trained: transform, and codebooks of three slices."""

from __future__ import annotations

import torch
from torch import Tensor

from codectok.codec.envelope import EnvelopeCodec
from codectok.codec.envelope.codec import ENVELOPE
from codectok.codec.envelope.config import FRAMES
from codectok.codec.model import CodecModel
from train_codec.fit import fit_residual
from train_codec.noise import audible

FULL_WEIGHT_BANDS = 0.78
"""Share of the bands, from the lowest on (up to 5 kHz), that errors of the envelope count fully in."""
REST_WEIGHT = 0.8
"""What they count for in the others, where the ear is less exact."""


def base_rows(codec: CodecModel, audio: Tensor) -> Tensor:
    """Of audible code frames of samples [B, S]: semantic and pitch latents and two frames of bands, [N, D]."""
    assert isinstance(codec, EnvelopeCodec)
    found = codec.analyse(audio)
    pairs = found.envelope.reshape(*found.pitch.shape[:2], -1)
    return torch.cat([found.semantic, found.pitch, pairs], 2)[audible(audio, pairs.shape[1])]


@torch.no_grad()
def fit_base(codec: EnvelopeCodec, rows: Tensor, rounds: int, seed: int, rank: int, world: int) -> None:
    """Fit the transform to rows [N, D] of :func:`base_rows`, then the codebooks of semantics, pitch and envelope.

    The same in every process; ``rounds`` and what follows as in :func:`fit_residual`.
    """
    bands, vq = codec.config.bands, codec.quantizer
    semantic, pitch, pairs = rows.split([*codec.config.part_dims[:2], FRAMES * bands], 1)
    weights = torch.where(torch.linspace(0, 1, bands) < FULL_WEIGHT_BANDS, 1.0, REST_WEIGHT).to(rows.device)
    codec.transform.fit(pairs.reshape(len(pairs), FRAMES, bands), weights)
    latents = codec.transform.encode(pairs.reshape(1, -1, bands))[0]
    for part, found in ((vq.parts[0], semantic), (vq.parts[1], pitch)):
        fit_residual(part, found, rounds, seed, rank, world)
    vq.fit_expected(semantic, latents)
    first = vq.parts[0].encode(semantic[None])[0, 0]
    fit_residual(vq.parts[ENVELOPE], latents - vq.expected(first), rounds, seed, rank, world)

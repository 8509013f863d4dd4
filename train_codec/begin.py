"""What is fitted to real latents when the codebooks of a run come into use: they themselves, and the ceilings."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from codectok.codec.envelope import EnvelopeCodec
from codectok.codec.harmonic import HarmonicCodec
from codectok.codec.model import CodecModel
from codectok.codec.ranks import gather_rows
from train_codec.base_layer import base_rows, fit_base
from train_codec.ceiling import fit_ceiling
from train_codec.data import ClipArray
from train_codec.fit import fit_residual
from train_codec.noise import audible
from train_codec.schedule import depths
from train_codec.trainer import Trainer

FRAMES_PER_CODE = 32
"""That k-means has of each codebook."""
CEILING_FRAMES = 12_000
"""Code frames that the ceilings are fitted to."""


def has_fixed(trainer: Trainer) -> bool:
    """Whether a part is fitted before the networks are trained: some codecs have one, unless weights came."""
    return isinstance(trainer.codec, EnvelopeCodec) and not trainer.recipe.run.start_from


def begin_fixed(trainer: Trainer, clips: ClipArray) -> None:
    """Fit the base layer of a codec for which :func:`has_fixed` holds."""
    assert isinstance(trainer.codec, EnvelopeCodec)
    if trainer.recipe.distill.first_steps:
        trainer.adopt_average()
    fit_base(trainer.codec, frames_of(trainer, clips, base_rows), *_how(trainer))


def begin_codes(trainer: Trainer, clips: ClipArray) -> None:
    """What is fitted when the codebooks come into use: they themselves, and the ceilings.

    Codebooks that came with weights stay, unless the encoder has learned since without them.
    """
    if not trainer.recipe.run.start_from or _outgrown(trainer):
        start_codebooks(trainer, clips)
    start_ceiling(trainer, clips)


def _outgrown(trainer: Trainer) -> bool:
    """Whether the encoder was trained through noise since its codebooks were fitted, and they may change."""
    q = trainer.recipe.quantizer
    return q.noise_rate > 0 and q.quantize_from > 0 and not trainer.frozen & {"encoder", "quantizer"}


def start_codebooks(trainer: Trainer, clips: ClipArray) -> None:
    """Fit every level to real latents of fresh crops, the same in every process."""
    q = trainer.recipe.quantizer
    if q.keep_codes:
        trainer.adopt_average()
    latents = frames_of(trainer, clips, latent_rows)
    if trainer.codec.fixed_codebooks:
        vq, view = trainer.codec.residual_quantizers()[-1]
        fit_residual(vq, view(latents), *_how(trainer))
    elif q.fit_rounds:
        for vq, view in trainer.codec.residual_quantizers():
            fit_residual(vq, view(latents), *_how(trainer))
    else:
        # The quantizer joins the parts of all processes: cut so that the frames come in the order of a single one.
        trainer.codec.quantizer.fit(latents.tensor_split(trainer.world)[trainer.rank], seed=trainer.recipe.run.seed)


def _how(trainer: Trainer) -> tuple[int, int, int, int]:
    """Rounds, seed, rank and world of :func:`fit_residual`."""
    return trainer.recipe.quantizer.fit_rounds, trainer.recipe.run.seed, trainer.rank, trainer.world


@torch.no_grad()
def frames_of(trainer: Trainer, clips: ClipArray, rows: Callable[[CodecModel, Tensor], Tensor]) -> Tensor:
    """What ``rows`` makes of samples [B, S] of fresh crops, until there are enough: [N, D], the same everywhere."""
    found: list[Tensor] = []
    batch, count = 0, 0
    needed = trainer.recipe.quantizer.fit_frames or FRAMES_PER_CODE * max(trainer.codec.codebook_sizes)
    while count < needed:
        with trainer.accelerator.autocast():
            own = rows(trainer.codec, trainer.batch(clips, batch, 1).audio)
        found.append(gather_rows(own))
        batch, count = batch + 1, count + len(found[-1])
    return torch.cat(found)


def latent_rows(codec: CodecModel, audio: Tensor) -> Tensor:
    """Latents [N, D] of audible frames; of all frames, for codecs without fixed codebooks."""
    z = codec.encode_step(audio, None, False)[0].float()
    return z[audible(audio, z.shape[1])] if codec.fixed_codebooks else z.flatten(0, 1)


@torch.no_grad()
def start_ceiling(trainer: Trainer, clips: ClipArray) -> None:
    """Fit ceilings that no weights came with to quantized latents of fresh crops, the same in every process."""
    codec = trainer.codec
    if not isinstance(codec, HarmonicCodec) or codec.decoder.ceiling is None:
        return
    if codec.decoder.ceiling.level.weight.any():
        return
    latents: list[Tensor] = []
    audio: list[Tensor] = []
    frames, levels = 0, len(codec.codebook_sizes)
    while frames < CEILING_FRAMES:
        batch, own = trainer.batch(clips, len(audio), 2), trainer.own(depths(trainer.recipe, len(audio), levels))
        with trainer.accelerator.autocast():
            z = codec.encode_step(batch.audio, None, False)[0].float()
        latents.append(trainer.accelerator.gather(codec.quantizer(z, own, None).quantized))
        audio.append(trainer.accelerator.gather(batch.audio))
        frames += latents[-1].shape[0] * z.shape[1]
    fit_ceiling(codec, latents, audio)

"""What is fitted to real latents when the codebooks of a run come into use: they themselves, and the ceilings."""

from __future__ import annotations

import torch
from torch import Tensor

from codectok.codec.harmonic import HarmonicCodec
from train_codec.ceiling import fit_ceiling
from train_codec.data import ClipArray
from train_codec.schedule import depths
from train_codec.trainer import Trainer

FRAMES_PER_CODE = 32
"""That k-means has of each codebook."""
CEILING_FRAMES = 12_000
"""Code frames that the ceilings are fitted to."""


def begin_codes(trainer: Trainer, clips: ClipArray) -> None:
    """What is fitted when the codebooks come into use: they themselves, unless weights came, and the ceilings."""
    if not trainer.recipe.run.start_from:
        start_codebooks(trainer, clips)
    start_ceiling(trainer, clips)


@torch.no_grad()
def start_codebooks(trainer: Trainer, clips: ClipArray) -> None:
    """k-means of every level on real latents of fresh crops, the same in every process."""
    latents: list[Tensor] = []
    frames, needed = 0, FRAMES_PER_CODE * max(trainer.codec.codebook_sizes)
    while frames < needed:
        with trainer.accelerator.autocast():
            z = trainer.codec.encode_step(trainer.batch(clips, len(latents), 1).audio, None, False)[0].float()
        latents.append(trainer.accelerator.gather(z))
        frames += latents[-1].shape[0] * z.shape[1]
    # The quantizer joins the parts of all processes: cut so that the frames come in the order of a single one.
    own = torch.cat(latents).tensor_split(trainer.world)[trainer.rank]
    trainer.codec.quantizer.fit(own, seed=trainer.recipe.run.seed)


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

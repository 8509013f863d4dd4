"""What depends on the step alone: learning rate, quantizer dropout, where excitations start."""

from __future__ import annotations

import math
from enum import Enum, auto

import numpy as np
import torch
from torch import Tensor

from train_codec.recipe import Recipe
from train_codec.settings import OptimizerSettings


class RecipeStage(Enum):
    """What is trained, in this order."""

    FIRST = auto()
    """The branch of the first codebook alone."""
    LATENTS = auto()
    """Encoder and decoder, the codebooks not yet in use: a plain autoencoder, or one through a noise channel."""
    CODES = auto()
    """What ``keep_codes`` leaves, on real codes."""


def stage_of(recipe: Recipe, step: int) -> RecipeStage:
    """The stage that a step belongs to."""
    if step < recipe.distill.first_steps:
        return RecipeStage.FIRST
    return RecipeStage.LATENTS if step < recipe.quantizer.quantize_from else RecipeStage.CODES


def learning_rate_share(recipe: Recipe, step: int) -> float:
    """Share of the recipe's learning rates: warm-up, constant, then a cosine fall to a fiftieth."""
    return rate_share(recipe.optimizer, recipe.run.steps, step)


def rate_share(s: OptimizerSettings, steps: int, step: int) -> float:
    """The same of a run of so many steps."""
    warm = min(1.0, (step + 1) / max(1, s.warmup_steps))
    start = steps * (1 - s.decay_share)
    done = min(1.0, max(0.0, (step - start) / max(1.0, steps - start)))
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def depths(recipe: Recipe, step: int, levels: int) -> Tensor:
    """Codebooks of each item of the joint batch, int64 [batch]: quantizer dropout, the same in every process."""
    s, batch = recipe.quantizer, recipe.data.batch
    rng = np.random.default_rng((recipe.run.seed, step, 1))
    if not s.depths:
        return torch.full((batch,), levels)
    choice = np.searchsorted(np.cumsum(s.depth_shares), rng.random(batch), side="right")
    listed = np.array([*s.depths, 0])[choice]
    return torch.from_numpy(np.where(listed > 0, np.minimum(listed, levels), rng.integers(1, levels + 1, batch)))


def starts(recipe: Recipe, step: int) -> Tensor:
    """Where each item's excitation starts, float64 [batch, 2] in [0, 1)."""
    return torch.from_numpy(np.random.default_rng((recipe.run.seed, step, 3)).random((recipe.data.batch, 2)))


def channel_noise(recipe: Recipe, step: int, frames: int, dim: int) -> Tensor:
    """What a noise channel adds to the latents of the joint batch, float32 [batch, frames, dim]."""
    rng = np.random.default_rng((recipe.run.seed, step, 4))
    return torch.from_numpy(rng.standard_normal((recipe.data.batch, frames, dim), dtype=np.float32))

"""What depends on the step alone: learning rate, quantizer dropout, where excitations start."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from train_codec.recipe import Recipe
from train_codec.settings import OptimizerSettings


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

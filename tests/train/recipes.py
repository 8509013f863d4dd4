"""The packaged tiny recipe, on the packaged clips, into a test's folder."""

from __future__ import annotations

from pathlib import Path

import torch

from train_codec.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[2]


def recipe(out: Path, name: str = "tiny", **changes: object) -> Recipe:
    """``changes`` are keys of the recipe."""
    overrides = {"out": out, "cache": out.parent / "cache", "threads": torch.get_num_threads(), "tensorboard": "false"}
    overrides |= {"data": ROOT / "benchmarks/speech", "splits": ROOT / "benchmarks/speech/splits.tsv"}
    overrides |= {"steps": 24, "quantize_from": 8, "adversarial_from": 12, "checkpoint_every": 100}
    overrides |= {"validate_every": 100, **changes}
    return load_recipe(name, [f"{k}={v}" for k, v in overrides.items()])

"""The packaged tiny recipe, on the packaged clips, into a test's folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from train_codec.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[2]


def recipe(out: Path, **changes: object) -> Recipe:
    """``changes`` are keys of the recipe; ``name`` among them is another recipe's."""
    name = str(changes.pop("name", "tiny"))
    overrides = {"out": out, "cache": out.parent / "cache", "threads": torch.get_num_threads(), "tensorboard": "false"}
    overrides |= {"data": ROOT / "benchmarks/speech", "splits": ROOT / "benchmarks/speech/splits.tsv"}
    overrides |= {"steps": 24, "quantize_from": 8, "adversarial_from": 12, "checkpoint_every": 100}
    overrides |= {"validate_every": 100, **changes}
    return load_recipe(name, [f"{k}={v}" for k, v in overrides.items()])


def process(out: Path, stop: int, changes: dict[str, Any], processes: int = 1) -> None:
    """Run or resume a recipe until step ``stop`` in another process, or several."""
    launch = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--standalone"] if processes > 1 else []
    command = [sys.executable, *launch, "-m", "tests.train.run_until", str(out), str(stop)]
    changes = {"threads": torch.get_num_threads(), **changes}
    result = subprocess.run([*command, *(f"{k}={v}" for k, v in changes.items())], cwd=ROOT, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()[-2000:]

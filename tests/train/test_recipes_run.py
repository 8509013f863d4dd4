"""Packaged recipes as they are run: fifty steps of narrow codecs, in both types, stopped and gone on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.train.recipes import process

NARROW = {
    "encodec-24k": {"filters": 4, "dim": 16, "codebook_sizes": [16] * 4, "depths": [2, 4], "depth_shares": [0.5, 0.5]},
    "mimi-24k": {
        "filters": 4,
        "dim": 16,
        "code_dim": 8,
        "heads": 2,
        "hidden": 32,
        "transformer_layers": 2,
        "codebook_sizes": [16] * 4,
        "distill_weight": 1,
        "teacher_dim": 8,
    },
    "dac-16k": {"filters": 4, "latent_dim": 16, "codebook_sizes": [16] * 4, "depths": [4]},
}
"""What makes each small enough to test; all else is the recipe's."""
STEPS, STOP = 50, 45


@pytest.mark.slow
@pytest.mark.parametrize("bf16", ["false", "true"])
@pytest.mark.parametrize("name", sorted(NARROW))
def test_fifty_steps(name: str, bf16: str, tmp_path: Path, teacher: Path) -> None:
    changes = {**NARROW[name], "name": name, "bf16": bf16, "steps": STEPS, "batch": 1, "crop_seconds": 0.32}
    changes |= {"quantize_from": 10, "adversarial_from": 40, "revive_every": 7, "validate_every": 100, "log_every": 1}
    changes |= {"teacher": teacher if name == "mimi-24k" else "", "warmup_steps": 0, "learning_rate": 1e-3}
    out = tmp_path / "run"
    process(out, STOP, changes)
    shutil.copytree(out, tmp_path / "again")
    for folder in (out, tmp_path / "again"):
        process(folder, STEPS, changes)
    one, two = (
        torch.load(folder / "checkpoint.pt", weights_only=True)["generator"] for folder in (out, tmp_path / "again")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "mel" in row]
    mel = [row["mel"] for row in steps]
    assert len(mel) == STEPS
    assert sum(mel[-10:]) < sum(mel[:10])
    assert {"discriminator", "feature"} <= steps[-1].keys()

"""Runs or resumes the test recipe until a step: the other process of the resume test."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

if __name__ == "__main__":
    from tests.train.test_trainer import recipe
    from train_codec.trainer import Trainer

    torch.set_num_threads(int(sys.argv[3]))
    options = {"quantize_from": 8, "checkpoint_every": 100, "validate_every": 100}
    Trainer(recipe(Path(sys.argv[1]), **options)).run(until=int(sys.argv[2]))

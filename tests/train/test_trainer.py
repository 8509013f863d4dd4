"""Training: it runs, it resumes exactly, and what it exports is a tokenizer."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from codectok import CodectokError, FormatError, load
from train_codec.recipe import Recipe, load_recipe
from train_codec.splits import assign
from train_codec.trainer import Trainer, learning_rate

ROOT = Path(__file__).parents[2]


def recipe(out: Path, **changes: object) -> Recipe:
    overrides = {"out": out, "cache": out.parent / "cache", "threads": torch.get_num_threads(), "steps": 24, **changes}
    overrides |= {"data": ROOT / "benchmarks/speech", "splits": ROOT / "benchmarks/speech/splits.tsv"}
    return load_recipe("tiny", [f"{k}={v}" for k, v in overrides.items()])


def test_resume_is_exact_in_a_new_process(tmp_path: Path) -> None:
    whole = Trainer(recipe(tmp_path / "whole", quantize_from=8, checkpoint_every=100, validate_every=100))
    whole.run()
    command = [sys.executable, "-m", "tests.train.run_until", str(tmp_path / "parts")]
    for stop in ("12", "24"):
        subprocess.run([*command, stop, str(torch.get_num_threads())], cwd=ROOT, check=True, capture_output=True)
    parts = torch.load(tmp_path / "parts/checkpoint.pt", weights_only=True)
    expected = whole.state()
    assert parts["step"] == expected["step"] == 24
    for key in ("model", "codebooks", "average"):
        for name, tensor in expected[key].items():
            assert torch.equal(parts[key][name], tensor), f"{key} {name} differs"


def test_export_is_a_tokenizer(tmp_path: Path) -> None:
    trainer = Trainer(recipe(tmp_path / "run", steps=24))
    trainer.run()
    tok = load(trainer.export())
    audio = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    assert tok.decode(tok.encode(audio, 16000)).shape == audio.shape
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert "stoi_4" in rows[-1]["val"]


def test_the_loss_falls(tmp_path: Path) -> None:
    trainer = Trainer(recipe(tmp_path / "run", quantize_from=1000))
    from train_codec.data import crops

    x = crops(trainer.clips("fit"), 0, 0, 4, trainer.crop)
    losses = [trainer.train_step(x)["loss"] for _ in range(25)]
    assert losses[-1] < 0.9 * losses[0]


def test_nan_stops_with_the_step_and_the_term(tmp_path: Path) -> None:
    trainer = Trainer(recipe(tmp_path / "run"))
    with pytest.raises(CodectokError, match=r"step 0: loss term .*mel"):
        trainer.train_step(torch.full((4, trainer.crop), float("nan")))


def test_recipes_refuse_unknown_keys() -> None:
    with pytest.raises(FormatError, match="unknown recipe key 'learning_rat'"):
        load_recipe("tiny", ["learning_rat=1"])
    with pytest.raises(FormatError, match="no recipe 'tyni'"):
        load_recipe("tyni", [])
    with pytest.raises(FormatError, match="not key=value"):
        load_recipe("tiny", ["steps"])


def test_learning_rate_warms_up_and_falls() -> None:
    r = Recipe(steps=1000, warmup_steps=100, decay_share=0.25, learning_rate=1.0)
    rates = [learning_rate(r, s) for s in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[500] == 1.0
    assert rates[-1] < 0.03
    assert all(a <= b for a, b in pairwise(rates[:100]))


def test_splits_keep_whole_speakers_and_prompts_apart() -> None:
    row = {"split": "train", "speaker": "allison", "transcript": "Hello.", "path": "a"}
    assert assign(row) == assign(row | {"path": "b"})
    assert assign(row | {"speaker": "klettres-uk"}) == "val"
    assert assign(row | {"split": "dev"}) == "dev"

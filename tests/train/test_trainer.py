"""Training: it runs, it resumes exactly, two processes are one, and what it exports is a tokenizer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codectok import CodectokError, FormatError, load
from tests.train.recipes import ROOT, process, recipe
from train_codec.checkpoint import write_checkpoint
from train_codec.data import CropBatch
from train_codec.loop import train
from train_codec.trainer import Trainer

ALL_PARTS = {"balancer": "true", "distill_weight": 1}


def _checkpoint(out: Path) -> dict[str, Any]:
    return dict(torch.load(out / "checkpoint.pt", weights_only=True))


def _rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def _leaves(tree: Any, path: str = "") -> dict[str, Any]:
    if isinstance(tree, dict):
        return {k: v for key, value in tree.items() for k, v in _leaves(value, f"{path}/{key}").items()}
    if isinstance(tree, (list, tuple)):
        return {k: v for i, value in enumerate(tree) for k, v in _leaves(value, f"{path}/{i}").items()}
    return {path: tree}


def test_resume_is_exact_in_a_newprocess(tmp_path: Path, teacher: Path) -> None:
    """Everything in the checkpoint, bit for bit: networks, discriminators, optimizers, balancer, codebooks, average."""
    changes = {**ALL_PARTS, "teacher": teacher, "teacher_dim": 8, "ema_decay": 0.9}
    train(Trainer(recipe(tmp_path / "whole", **changes)))
    for stop in (14, 24):
        process(tmp_path / "parts", stop, changes)
    whole, parts = (_leaves(_checkpoint(tmp_path / name)) for name in ("whole", "parts"))
    assert whole["/step"] == 24
    assert any(name.startswith("/discriminator/") for name in whole)
    assert any(name.startswith("/balancer/") for name in whole)
    assert whole.keys() == parts.keys()
    for name, expected in whole.items():
        if isinstance(expected, torch.Tensor):
            assert torch.equal(expected, parts[name]), f"{name} differs"
        elif not name.startswith(("/recipe/out", "/recipe/cache", "/random/")):
            assert expected == parts[name], name


def test_two_processes_are_one(tmp_path: Path, teacher: Path) -> None:
    """The same batch on one process and on two: quantizer, discriminator, balancer, teacher and pitch included."""
    changes = {**ALL_PARTS, "teacher": teacher, "teacher_dim": 8, "bf16": "false", "threads": 1, "log_every": 1}
    changes |= {"steps": 8, "quantize_from": 2, "adversarial_from": 4, "revive_every": 3, "learning_rate": 1e-3}
    changes |= {"adversarial_items": 0, "speed_prob": 0.3, "noise_prob": 0.5}
    process(tmp_path / "one", 8, changes)
    process(tmp_path / "two", 8, changes, processes=2)
    logs = [
        [json.loads(line) for line in (tmp_path / n / "log.jsonl").read_text().splitlines()] for n in ("one", "two")
    ]
    for one, two in zip(*logs, strict=True):
        for name, value in one.items():
            if isinstance(value, float) and name != "steps_per_second":
                assert two[name] == pytest.approx(value, rel=2e-3, abs=2e-4), f"{name} at step {one['step']}"
    one, two = (_leaves(_checkpoint(tmp_path / name)) for name in ("one", "two"))
    for name, expected in one.items():
        if name.startswith(("/generator/", "/discriminator/", "/average/")) and isinstance(expected, torch.Tensor):
            torch.testing.assert_close(two[name], expected, rtol=2e-2, atol=2e-3, msg=name)


def test_export_is_a_tokenizer(tmp_path: Path) -> None:
    trainer = Trainer(recipe(tmp_path / "run", validate_every=24, tensorboard="true"))
    train(trainer)
    tok = load(trainer.export())
    audio = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    assert tok.decode(tok.encode(audio, 16000)).shape == audio.shape
    rows = _rows(tmp_path / "run")
    assert "stoi_4" in rows[-1]["val"]
    assert len(rows[-2]["health"]["used"]) == 4
    assert list((tmp_path / "run/tensorboard").iterdir())
    again = Trainer(recipe(tmp_path / "again", start_from=tmp_path / "run/model"))
    for name, value in again.codec.state_dict().items():
        torch.testing.assert_close(value, trainer.released().state_dict()[name], rtol=2e-3, atol=1e-4)


def test_the_loss_falls(tmp_path: Path) -> None:
    trainer = Trainer(recipe(tmp_path / "run", quantize_from=1000, adversarial_from=1000, steps=1000))
    batch = trainer.batch(trainer.clips("fit"), 0)
    losses = []
    for _ in range(25):
        values, _ = trainer.train_step(batch)
        losses.append(values["mel"])
    assert losses[-1] < 0.9 * losses[0]


def test_nan_stops_with_the_step_and_the_term(tmp_path: Path) -> None:
    trainer = Trainer(recipe(tmp_path / "run"))
    batch = trainer.batch(trainer.clips("fit"), 0)
    bad = CropBatch(
        torch.full_like(batch.audio, float("nan")), batch.clip, batch.start, batch.valid_samples, batch.aligned
    )
    with pytest.raises(CodectokError, match=r"step 0: loss .*mel"):
        trainer.train_step(bad)


def test_a_run_of_another_codec_is_not_resumed(tmp_path: Path) -> None:
    Trainer(recipe(tmp_path / "run")).save()
    with pytest.raises(FormatError, match="dim 48 is now 32"):
        Trainer(recipe(tmp_path / "run", dim=32)).load()
    with pytest.raises(FormatError, match="balancer False is now True"):
        Trainer(recipe(tmp_path / "run", balancer="true")).load()
    state = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)
    del state["recipe"]["waveform_from"]  # as in a checkpoint from before there was such a key
    write_checkpoint(tmp_path / "run/checkpoint.pt", state)
    assert Trainer(recipe(tmp_path / "run")).load()


def test_a_damaged_checkpoint_is_an_error(tmp_path: Path) -> None:
    trainer = Trainer(recipe(tmp_path / "run"))
    trainer.save()
    path = tmp_path / "run/checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(FormatError, match="not a whole checkpoint"):
        trainer.load()


def test_asked_to_stop_it_leaves_a_checkpoint_to_go_on_from(tmp_path: Path) -> None:
    changes = {"threads": 1, "steps": 100000, "quantize_from": 10**6, "adversarial_from": 10**6, "log_every": 1}
    command = [sys.executable, "-m", "tests.train.run_until", str(tmp_path / "run"), "100000"]
    arguments = [f"{k}={v}" for k, v in changes.items()]
    child = subprocess.Popen([*command, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run/log.jsonl"
    while child.poll() is None and not (log.exists() and len(log.read_text().splitlines()) > 3):
        time.sleep(0.1)
    child.send_signal(signal.SIGTERM)
    error = child.communicate(timeout=60)[1]
    assert child.returncode == 143
    trainer = Trainer(recipe(tmp_path / "run", **changes))
    assert trainer.load()
    assert trainer.step >= 2
    said = (
        f"stopped: the checkpoint of step {trainer.step} is in {tmp_path / 'run/checkpoint.pt'}: the same command goes"
    )
    assert error.splitlines()[-1].startswith(said)


def test_logged_losses_are_means_after_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"steps": 20, "checkpoint_every": 18, "validate_every": 1000, "log_every": 20}
    plain = Trainer.train_step

    def step(trainer: Trainer, batch: CropBatch) -> Any:
        _, output = plain(trainer, batch)
        return {"mel": 1.0}, output

    monkeypatch.setattr(Trainer, "train_step", step)
    monkeypatch.setattr("train_codec.watch.session.validate", lambda *args: {})
    train(Trainer(recipe(tmp_path / "run", **changes)), until=18)
    train(Trainer(recipe(tmp_path / "run", **changes)))
    rows = _rows(tmp_path / "run")
    assert [r["mel"] for r in rows if "mel" in r] == [1.0]

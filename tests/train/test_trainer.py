"""Training: it runs, it resumes exactly, and what it exports is a tokenizer."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from codectok import AudioError, CodectokError, FormatError, load
from train_codec.data import list_clips, load_clips
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


def test_a_float_may_be_written_without_a_point() -> None:
    assert load_recipe("tiny", ["learning_rate=1e-3"]).learning_rate == 1e-3


@pytest.mark.parametrize("change", ["steps=abc", "batch=0", "codebook_sizes=5", "windows=[", "bf16=7", "mel_weight=x"])
def test_a_wrong_value_is_an_error_that_names_it(change: str) -> None:
    with pytest.raises(FormatError, match=change.partition("=")[0]):
        load_recipe("tiny", [change])


def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path) -> None:
    for text in ("# a\n```\n", "only words"):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(FormatError, match=r"x\.yaml"):
            load_recipe(str(tmp_path / "x.yaml"), [])


def test_no_warm_up() -> None:
    assert learning_rate(Recipe(warmup_steps=0), 0) == Recipe().learning_rate


def test_a_run_of_another_codec_is_not_resumed(tmp_path: Path) -> None:
    Trainer(recipe(tmp_path / "run")).save()
    with pytest.raises(FormatError, match="dim 64 is now 32"):
        Trainer(recipe(tmp_path / "run", dim=32)).load()


def test_the_cache_tells_folders_apart(tmp_path: Path) -> None:
    for name, value in (("a", 0.1), ("b", 0.2)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "x.wav", np.full(100, value), 16000)
    first, second = (load_clips(tmp_path / name, ["x.wav"], tmp_path / "cache", 16000) for name in "ab")
    assert first.samples[0] < second.samples[0]


def test_bad_training_audio_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("words")
    for name in ("x.wav", "missing.wav"):
        with pytest.raises(AudioError, match=name):
            load_clips(tmp_path, [name], tmp_path / "cache", 16000)
    (tmp_path / "splits.tsv").write_text("file\tuse\nx.wav\tfit\n")
    with pytest.raises(FormatError, match="no columns"):
        list_clips(tmp_path, tmp_path / "splits.tsv", "fit")


def test_logged_losses_are_means_after_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"steps": 100, "checkpoint_every": 90, "validate_every": 1000}
    monkeypatch.setattr(Trainer, "train_step", _step_of_one)
    monkeypatch.setattr(Trainer, "start_codebooks", lambda self, clips: None)
    monkeypatch.setattr("train_codec.validate.validate", lambda *args: {})
    Trainer(recipe(tmp_path / "run", **changes)).run(until=90)
    Trainer(recipe(tmp_path / "run", **changes)).run()
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert rows[0]["loss"] == 1.0


def _step_of_one(trainer: Trainer, x: torch.Tensor) -> dict[str, float]:
    trainer.step += 1
    return {"loss": 1.0}

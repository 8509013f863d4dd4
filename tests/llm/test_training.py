"""A whole run: batches, packing, resuming to the bit, and what it says about text."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codectok.errors import CodectokError, FingerprintError, FormatError
from codectok.llm.model.extend import ExtendOptions, extend_folder
from codectok.llm.model.verify import verify_folder
from codectok.llm.training.data import PackedDataset, model_inputs
from codectok.llm.training.retention import text_perplexity
from codectok.llm.training.run import train
from codectok.llm.training.run_folder import RunFolder
from codectok.llm.training.settings import TrainSettings, TrainStage, read_settings
from codectok.llm.vocab.audio_vocab import AudioVocab
from tests.llm.text_tokenizers import with_audio
from tests.llm.tiny_models import Codes, folder, model

tf = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")
pytest.importorskip("peft")

STAGES = (TrainStage("new-rows", 4, 1e-2), TrainStage("lora+new-rows", 4, 1e-2))
SETTINGS = TrainSettings(STAGES, batch=2, lora_rank=2, log_every=1, checkpoint_every=3)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base")
    folder(path / "text", dtype=torch.bfloat16)
    extend_folder(str(path / "text"), path / "model", Codes(), ExtendOptions())
    return path / "model"


@pytest.fixture(scope="module")
def data(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven rows of codes that count up, some with weights of 0."""
    vocab, path = AudioVocab.load(base), tmp_path_factory.mktemp("data")
    rows: dict[str, list[Any]] = {"input_ids": [], "labels": [], "loss_weights": []}
    for i in range(7):
        ids = [5, 6, *(vocab.base_id + (np.arange(6 + i) + i) % 64)]
        rows["input_ids"].append(list(map(int, ids)))
        rows["labels"].append([-100, -100, *map(int, ids[2:])])
        rows["loss_weights"].append([1.0, 1.0, *[0.5] * (len(ids) - 2)])
    datasets.Dataset.from_dict(rows).to_parquet(path / "train.parquet")
    return path


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma"])
def test_packed_sequences_do_not_see_each_other(family: str) -> None:
    made = model(family, 50, tied=True)
    parts = [torch.randint(0, 50, (n,)) for n in (5, 1, 1, 7)]
    packed = torch.cat(parts)[None]
    positions = torch.cat([torch.arange(len(p)) for p in parts])[None]
    two = {"input_ids": packed.repeat(2, 1), "position_ids": positions.repeat(2, 1)}
    two["input_ids"][1, 9:], two["position_ids"][1, 9:] = 0, 0  # filling
    together = made(**model_inputs(two)).logits
    alone = torch.cat([made(p[None]).logits[0] for p in parts])
    torch.testing.assert_close(together[0], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together[1, :9], alone[:9], rtol=1e-4, atol=1e-5)


def test_batches(data: Path, tmp_path: Path) -> None:
    rows = PackedDataset(data, tmp_path)
    batch = rows.batch(0, 0, 7)
    assert sorted(batch["lengths"].tolist()) == [8, 9, 10, 11, 12, 13, 14]
    filling = torch.arange(14) >= batch["lengths"][:, None]
    assert bool((batch["labels"][filling] == -100).all())
    assert bool((batch["loss_weights"][filling] == 0).all())
    assert torch.equal(model_inputs(batch)["attention_mask"] == 0, filling)
    seen = [int(n) for step in range(7) for n in rows.batch(3, step, 2)["lengths"]]
    assert sorted(seen[:7]) == sorted(seen[7:]) == [8, 9, 10, 11, 12, 13, 14]
    assert seen[:7] != seen[7:]
    assert torch.equal(rows.batch(3, 5, 2)["input_ids"], rows.batch(3, 5, 2)["input_ids"])


def test_run_and_resume_to_the_bit(base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    done = train(str(data), str(base), tmp_path / "whole", SETTINGS, lines.append)
    assert any("stage 2/2 lora+new-rows  step 4/4  loss" in line for line in lines)
    assert [c for c in verify_folder(done) if c.ok is False] == []
    assert sorted(p.name for p in (done / "run").iterdir()) == ["log.jsonl", "settings.json"]
    written, begun = RunFolder.save, RunFolder.start_stage

    def cut(self: RunFolder, stage: int, step: int, *rest: Any) -> None:
        written(self, stage, step, *rest)
        raise KeyboardInterrupt

    def cut_at_start(self: RunFolder, index: int, of: Any) -> None:
        begun(self, index, of)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "save", cut)
    monkeypatch.setattr(RunFolder, "start_stage", cut_at_start)
    for i in range(3):  # after the third step of each stage, and before the first of the second
        torch.manual_seed(i)
        with pytest.raises(KeyboardInterrupt):
            train(str(data), str(base), tmp_path / "cut", SETTINGS, lines.append)
    train(str(data), str(base), tmp_path / "cut", SETTINGS, lines.append)
    assert (tmp_path / "cut/model.safetensors").read_bytes() == (done / "model.safetensors").read_bytes()

    def steps(path: Path) -> list[Any]:
        logged = [json.loads(line) for line in (path / "run/log.jsonl").read_text().splitlines()]
        return [(line["stage"], line["step"], line["loss"]) for line in logged if "loss" in line]

    assert steps(tmp_path / "cut") == steps(done)
    assert len(steps(done)) == 8
    assert train(str(data), str(base), done, SETTINGS, lines.append) == done
    assert lines[-1].endswith("is finished")
    with pytest.raises(FormatError, match="other settings"):
        train(str(data), str(base), done, TrainSettings(STAGES, seed=1), lines.append)


def test_new_rows_stage_keeps_everything_else(base: Path, data: Path, tmp_path: Path) -> None:
    settings = TrainSettings((TrainStage("new-rows", 20, 3e-2),), batch=4, weight_decay=0.3, log_every=1)
    lines: list[str] = []
    train(str(data), str(base), tmp_path / "out", settings, lines.append)
    before, after = (tf.AutoModelForCausalLM.from_pretrained(p).state_dict() for p in (base, tmp_path / "out"))
    old = ~torch.from_numpy(AudioVocab.load(base).id_mask)
    assert after["lm_head.weight"].dtype == torch.bfloat16
    for name, value in before.items():
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            assert torch.equal(after[name][: len(old)][old], value[: len(old)][old])
            assert not torch.equal(after[name], value)
        else:
            assert torch.equal(after[name], value)
    logged = [json.loads(line) for line in (tmp_path / "out/run/log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in logged if "loss" in line]
    assert losses[-1] < losses[0]
    assert {"before", "after"} <= logged[-1].keys()
    assert logged[-1]["after"] >= 1


def test_parts_of_a_batch_add_up(base: Path, data: Path, tmp_path: Path) -> None:
    stages = (TrainStage("all", 2, 1e-3),)
    made = []
    for accumulate in (1, 3):
        settings = TrainSettings(stages, batch=6, accumulate=accumulate, log_every=1)
        train(str(data), str(base), tmp_path / str(accumulate), settings, lambda line: None)
        logged = (tmp_path / str(accumulate) / "run/log.jsonl").read_text().splitlines()
        made.append([json.loads(line)["loss"] for line in logged[:2]])
    assert made[0] == pytest.approx(made[1], rel=1e-5)


def test_perplexity_of_a_text() -> None:
    tokenizer, vocab = with_audio("byte-level")
    made = model("llama", len(tokenizer), tied=True)
    text = "the quick brown fox <|audio_0_1|> " * 20
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert any(vocab.owns(torch.tensor(ids)))  # what must not happen in the measure
    seen: list[torch.Tensor] = []
    hook = made.register_forward_pre_hook(lambda _, __, inputs: seen.append(inputs["input_ids"]), with_kwargs=True)
    found = text_perplexity(made, tokenizer, vocab, text)
    hook.remove()
    assert seen
    assert not any(vocab.owns(ids).any() for ids in seen)
    assert found == pytest.approx(len(tokenizer), rel=0.3)
    with torch.no_grad():
        made.lm_head.weight.zero_()
    assert text_perplexity(made, tokenizer, vocab, text) == pytest.approx(len(tokenizer), rel=1e-4)
    with pytest.raises(FormatError, match="fewer than two tokens"):
        text_perplexity(made, tokenizer, vocab, "")


def test_rates() -> None:
    stage = TrainStage("all", 100, 2.0)
    rates = [stage.rate(i, 0.1) for i in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9] == rates[10] == 2.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.01
    assert all(math.isfinite(TrainStage("all", n, 1.0).rate(i, 0.05)) for n in (1, 2) for i in range(n))


def test_settings_files(tmp_path: Path) -> None:
    file = tmp_path / "stages.yaml"
    file.write_text("batch: 4\nstages:\n  - {trainable: new-rows, steps: 3, learning_rate: 1e-3}\n")
    read = read_settings([str(file), "stages.0.steps=7", "weight_decay=0", "seed=2"])
    assert read == TrainSettings((TrainStage("new-rows", 7, 1e-3),), batch=4, weight_decay=0.0, seed=2)
    assert isinstance(read.stages[0].learning_rate, float)
    assert read_settings([str(file), "mixed_precision=no"]).mixed_precision == "no"  # which YAML reads as false
    bad = [
        (["batch=2"], "no stages: give a file"),
        ([str(file), "btach=2"], "command line: unknown key 'btach': did you mean batch"),
        ([str(file), "batch=x"], "batch is 'x': give a whole number of 1 or more"),
        ([str(file), "batch=1.5"], "batch is 1.5"),
        ([str(file), "batch=0"], "batch is 0: give a whole number of 1 or more"),
        ([str(file), "lora_rank=0"], "lora_rank is 0"),
        ([str(file), "lora_alpha=-1"], "lora_alpha is -1"),
        ([str(file), "weight_decay=-0.1"], "weight_decay is -0.1: give a number of 0 or more"),
        ([str(file), "clip_norm=.nan"], "clip_norm is .nan"),
        ([str(file), "seed=-1"], "seed is -1"),
        ([str(file), "threads=-1"], "threads is -1"),
        ([str(file), "warmup_share=1.5"], "warmup_share is 1.5: give a number from 0 to 1"),
        ([str(file), "mixed_precision=fp8"], "mixed_precision is 'fp8': give no, bf16 or fp16"),
        ([str(file), "stages.1.steps=3"], "no stages.1 to set it in"),
        ([str(file), "stages.0.trainable=head"], "stages.0: trainable is 'head'"),
        ([str(file), "stages.0.trainable=all+lora"], "trainable is 'all"),
        ([str(file), "stages.0.step=3"], "unknown key 'stages.0.step': did you mean steps"),
        ([str(file), "stages.0.learning_rate=-1"], "stages.0.learning_rate is -1: give a number above 0"),
        ([str(tmp_path / "none.yaml")], "give a YAML file"),
        (["stages=[{steps: 3}]"], "stages.0 has no trainable, learning_rate"),
        (["stages=[3]"], "stages.0 is 3: give key: value pairs of trainable"),
    ]
    for arguments, match in bad:
        with pytest.raises(FormatError, match=match):
            read_settings(arguments)


def test_bad_data_and_folders(base: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no \.parquet files"):
        PackedDataset(tmp_path)
    datasets.Dataset.from_dict({"text": ["a"]}).to_parquet(tmp_path / "x/a.parquet")
    with pytest.raises(FormatError, match="has no input_ids, labels"):
        PackedDataset(tmp_path / "x", tmp_path / "cache")
    with pytest.raises(FormatError, match="is no run"):
        train(str(data), str(base), tmp_path / "x", SETTINGS, print)
    with pytest.raises(CodectokError, match="batch 2 is no multiple"):
        train(str(data), str(base), tmp_path / "y", TrainSettings(STAGES, batch=2, accumulate=3), print)


def test_data_of_another_model_is_refused(base: Path, data: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    vocab = AudioVocab.load(base)
    table = pq.read_table(data / "train.parquet")

    def write(name: str, fingerprint: str) -> str:
        (tmp_path / name).mkdir()
        about = json.dumps({"vocab_fingerprint": fingerprint})
        pq.write_table(table.replace_schema_metadata({"codectok": about}), tmp_path / name / "a.parquet")
        return str(tmp_path / name)

    settings = TrainSettings((TrainStage("new-rows", 1, 1e-2),), batch=2)
    with pytest.raises(FingerprintError, match="pack it again with --model"):
        train(write("other", "0" * 32), str(base), tmp_path / "out", settings, print)
    unnamed = {"input_ids": [[5, vocab.rows + 70]], "labels": [[5, 6]]}
    datasets.Dataset.from_dict(unnamed).to_parquet(tmp_path / "unnamed/a.parquet")
    with pytest.raises(FormatError, match=f"ids from 5 to {vocab.rows + 70}, the model has rows"):
        train(str(tmp_path / "unnamed"), str(base), tmp_path / "out", settings, print)
    train(write("same", vocab.fingerprint), str(base), tmp_path / "out", settings, print)  # the same output folder


def test_a_run_that_never_began_locks_nothing(base: Path, data: Path, tmp_path: Path) -> None:
    out, good = tmp_path / "out", (TrainStage("new-rows", 2, 1e-2),)
    with pytest.raises(FormatError, match="no module named adapter"):  # of the second stage, before the first
        train(str(data), str(base), out, TrainSettings((*good, TrainStage("adapter", 1, 1e-2)), batch=2), print)
    assert not (out / "run/settings.json").exists()
    (tmp_path / "short.txt").write_text("")
    with pytest.raises(FormatError, match="fewer than two tokens"):
        train(str(data), str(base), out, TrainSettings(good, batch=2, text=str(tmp_path / "short.txt")), print)
    done = train(str(data), str(base), out, TrainSettings(good, batch=2, log_every=1), print)
    assert [json.loads(line)["step"] for line in (done / "run/log.jsonl").read_text().splitlines()] == [1, 2, 2]


def test_a_run_is_not_resumed_with_other_data(base: Path, data: Path, tmp_path: Path) -> None:
    import shutil

    copied = tmp_path / "data"
    shutil.copytree(data, copied)
    settings = TrainSettings((TrainStage("new-rows", 1, 1e-2),), batch=2)
    train(str(copied), str(base), tmp_path / "out", settings, print)
    train(str(copied), str(base), tmp_path / "out", settings, print)
    (copied / "pack.json").write_text("{}")
    with pytest.raises(FormatError, match="other settings, model or data"):
        train(str(copied), str(base), tmp_path / "out", settings, print)

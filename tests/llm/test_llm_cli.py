"""The commands of `codectok llm`, from a text model to sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
import soundfile
from click.testing import CliRunner, Result

from codectok.cli.llm import COMMANDS, llm
from codectok.cli.main import main
from codectok.llm.vocab.audio_vocab import AudioVocab
from tests.llm.tiny_models import folder

pytest.importorskip("transformers")


def run(*arguments: Any, ok: bool = True) -> Result:
    result = CliRunner().invoke(main, ["llm", *map(str, arguments)])
    assert (result.exit_code == 0) is ok, result.output
    if result.exception is not None:
        assert isinstance(result.exception, SystemExit)
    return result


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli")
    folder(path / "text", "qwen2", padding=60)
    result = run("extend", path / "text", "-o", path / "out", "--tokenizer", "pcm", "--pad-multiple", 8, "--languages",
                 "en, de", "--timestamps", 51)  # fmt: skip
    assert f"wrote {path / 'out'}" in result.stdout
    assert "yes, one table for both ends" in result.stdout
    assert "KL among old ids" in result.stdout
    return path / "out"


def test_help_names_every_command() -> None:
    result = run("--help")
    for name, (_, line) in COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert line in result.stdout
    for name in ("extend", "verify", "train", "generate"):
        assert isinstance(llm.get_command(click.Context(llm), name), click.Command)
        assert run(name, "--help").exit_code == 0


def test_extend_and_verify(extended: Path, tmp_path: Path) -> None:
    vocab = AudioVocab.load(extended)
    assert vocab.codebook_sizes == (256,)
    assert {"begin", "end", "transcribe", "en", "de"} <= vocab.markers.keys()
    assert vocab.id("<|de|>") == vocab.markers["de"]
    assert vocab.timestamps is not None
    assert vocab.timestamps.count == 51
    assert "all rules kept" in run("verify", extended).stdout
    plain = json.loads(run("verify", extended, "--json").stdout)
    assert plain["ok"] is True
    config = json.loads((extended / "config.json").read_text())
    assert config["vocab_size"] % 8 == 0
    for name in extended.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 10}))
    broken = run("verify", tmp_path, ok=False)
    assert broken.exit_code == 1
    assert "FAIL  embedding rows = vocab_size" in broken.stdout
    assert "To do: " in broken.stdout


def test_extend_as_json_and_refusals(extended: Path, tmp_path: Path) -> None:
    text = extended.parent / "text"
    (tmp_path / "text.txt").write_text("the quick brown fox")
    options = ("--tokenizer", "pcm", "--text", tmp_path / "text.txt", "--init", "normal", "--json")
    plain = json.loads(run("extend", text, "-o", tmp_path / "a", *options).stdout)
    assert plain["init"] == "normal"
    assert plain["tables"][1]["equal"] == 0
    again = run("extend", text, "-o", tmp_path / "a", *options, ok=False)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    run("extend", text, "-o", tmp_path / "a", *options, "--overwrite")
    failed = run("extend", text, "-o", tmp_path / "b", "--tokenizer", "pcm", "--init", "codebook", ok=False)
    assert "pcm has no code vectors" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert not (tmp_path / "b").exists()
    failed = run("extend", text, "-o", tmp_path / "b", "--preset", "llasaa", ok=False)
    assert "no preset 'llasaa'" in failed.stderr


@pytest.mark.parametrize("languages", ["en,,fr", "", "en, ", "en,<|fr|>", "e n", "fr\n,é"])
def test_languages_are_names(extended: Path, tmp_path: Path, languages: str) -> None:
    text = extended.parent / "text"
    failed = run("extend", text, "-o", tmp_path / "b", "--tokenizer", "pcm", "--languages", languages, ok=False)
    assert failed.exit_code == 2
    assert "is no language: letters, digits and hyphens" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert not (tmp_path / "b").exists()


def test_generate(extended: Path, tmp_path: Path) -> None:
    said = run("generate", extended, "--prompt", "the quick <|audio_0_1|>", "--max-tokens", 8)
    assert said.stdout.endswith("\n")
    out = tmp_path / "a.wav"
    spoken = run("generate", extended, "--prompt", "fox", "-o", out, "--tokenizer", "pcm", "--max-tokens", 400,
                 "--max-seconds", 0.01, "--temperature", 1, "--seed", 3)  # fmt: skip
    samples, rate = soundfile.read(out)
    assert rate == 16000
    assert 0 <= len(samples) <= 160
    assert f"wrote {out}, {len(samples) / rate:.2f} s" in spoken.stdout
    heard = run("generate", extended, "--audio", out, "--tokenizer", "pcm", "--task", "asr", "--max-tokens", 5)
    assert heard.exit_code == 0
    wrong = run("generate", extended, "-o", tmp_path / "a.mp3", ok=False)
    assert "ends in .wav" in wrong.stderr
    wrong = run("generate", extended, "--task", "dance", ok=False)
    assert "no task 'dance'" in wrong.stderr


def test_generate_for_each_of_a_folder(extended: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    (clips / "more").mkdir(parents=True)
    for i, name in enumerate(("a.wav", "more/b.wav")):
        soundfile.write(clips / name, [0.1 * i] * 120, 16000)
    (clips / "c.wav").write_bytes(b"no audio")
    options = ("--tokenizer", "pcm", "--max-tokens", 200, "--max-seconds", 0.01, "--seed", 3, "--temperature", 1)
    spoken = run("generate", extended, "--audio", clips, "-o", tmp_path / "out", *options, ok=False)
    assert spoken.exit_code == 1
    assert f"failed: {clips / 'c.wav'}: " in spoken.stderr
    assert spoken.stderr.count("failed") == 1
    made = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.wav"))
    assert made == ["a.wav", "more/b.wav"]
    alone = run("generate", extended, "--audio", clips / "more/b.wav", "-o", tmp_path / "b.wav", *options)
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "out/more/b.wav").read_bytes(), alone.output
    heard = run(
        "generate", extended, "--audio", clips, "--task", "asr", "--tokenizer", "pcm", "--max-tokens", 5, ok=False
    )
    lines = heard.stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(clips / "a.wav"), str(clips / "more/b.wav")]
    assert run("generate", extended, "--audio", clips, "-o", tmp_path / "out", *options, ok=False).exit_code == 2
    wrong = run("generate", extended, "--audio", clips, "-o", tmp_path / "out.wav", *options, ok=False)
    assert "into a folder" in wrong.stderr


def test_train(extended: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    vocab = AudioVocab.load(extended)
    ids = [5, *range(vocab.base_id, vocab.base_id + 9)]
    rows = {"input_ids": [ids] * 4, "labels": [ids] * 4, "position_ids": [[*range(4), *range(6)]] * 4}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "data/train.parquet")
    (tmp_path / "stages.yaml").write_text("stages: [{trainable: new-rows, steps: 3, learning_rate: 1e-2}]\nbatch: 2\n")
    arguments = (tmp_path / "data", extended, tmp_path / "stages.yaml", "-o", tmp_path / "out")
    result = run("train", *arguments, "log_every=1")
    assert "stage 1/1 new-rows  step 3/3  loss" in result.stderr
    assert "text perplexity" in result.stderr
    assert result.stdout == f"wrote {tmp_path / 'out'}\n"
    run("verify", tmp_path / "out")
    failed = run("train", *arguments, "steps=3", ok=False)
    assert "unknown key 'steps': did you mean stages?" in failed.stderr

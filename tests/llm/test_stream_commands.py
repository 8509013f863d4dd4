"""Commands of several streams: what a dataset records, what speaks, and what does not fit, each in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import soundfile
import torch

import codectok
from codectok.store import open_store
from tests.commands import done, refused
from tests.llm.stream_work import STAGES, extend, pack, store, text_of, train

for _package in ("transformers", "datasets", "accelerate", "pyarrow"):
    pytest.importorskip(_package)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, a model, data of three plans, and a model of delays that knows three utterances."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("streams")
    store(root / "store", 3)
    extend(root)
    pack(root, "delay")
    pack(root, "depth", out="depth")
    pack(root, "flatten", out="flat")
    train(root, 60)
    return root


def test_the_dataset_records_its_plan(work: Path) -> None:
    import pyarrow.parquet as pq

    about = json.loads((work / "data/pack.json").read_text())
    assert about["streams"]["pattern"] == {
        "pattern": "delay", "delays": None, "lead": 0, "tail": "extend", "ends": True,
    }  # fmt: skip
    assert (about["streams"]["heads"], about["streams"]["sizes"], about["streams"]["text"]) == (
        "parallel", [1024] * 4, 0,
    )  # fmt: skip
    (file,) = (work / "data/data").iterdir()
    for row, (key, tokens) in zip(pq.read_table(file).to_pylist(), open_store(work / "store"), strict=True):
        assert row["id"] == key
        assert row["codes"] == tokens.codes.tolist()
    trained = json.loads((work / "trained/streams.json").read_text())
    assert {key: trained[key] for key in about["streams"]} == about["streams"]


def test_it_speaks_by_command(work: Path, tmp_path: Path) -> None:
    tok = codectok.load("speech")
    for i, (_, tokens) in enumerate(open_store(work / "store")):
        out = tmp_path / f"{i}.wav"
        said = done("llm", "generate", work / "trained", "--task", "tts", "--prompt", text_of(i), "-o", out)
        assert f"wrote {out}" in said
        samples, rate = soundfile.read(out, dtype="int16")
        wanted = tok.decode(tokens)
        assert rate == tok.sample_rate
        assert len(samples) == len(wanted)
        assert abs(samples / 32768 - wanted).max() < 2e-4


def test_without_a_file_it_tells_frames(work: Path) -> None:
    said = done("llm", "generate", work / "trained", "--task", "tts", "--prompt", text_of(0))
    frames = next(iter(open_store(work / "store")))[1].codes.shape[1]
    assert f"[audio, {frames} frames]" in said


def test_training_goes_on_from_a_model_of_streams(work: Path, tmp_path: Path) -> None:
    done("llm", "train", work / "data", work / "trained", STAGES.format(steps=2, rate=1e-5), "-o", tmp_path / "more",
         "batch=2", "stages.0.trainable=lora+new-rows")  # fmt: skip
    assert (tmp_path / "more/streams.json").read_bytes() == (work / "trained/streams.json").read_bytes()


def mismatch(work: Path, data: str, model: Path, out: Path) -> str:
    return refused("llm", "train", work / data, model, STAGES.format(steps=1, rate=1e-3), "-o", out)


def test_data_and_models_that_do_not_fit_are_one_line(work: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = mismatch(work, "depth", work / "trained", out)
    assert "is arranged by" in line
    assert "heads depth" in line
    assert "has several streams" in mismatch(work, "flat", work / "trained", out)
    options = ("--tokenizer", "speech", "--codebooks")
    for books, message in ((3, "has 4 codebooks, the model 3"), (6, "has 4 codebooks, the model 6")):
        done("llm", "extend", work / "text", "-o", tmp_path / f"k{books}", *options, books)
        assert message in mismatch(work, "data", tmp_path / f"k{books}", out)
    done("llm", "extend", work / "text", "-o", tmp_path / "other", "--tokenizer", "random", "--codebooks", 4)
    assert "is of audio tokenizer" in mismatch(work, "data", tmp_path / "other", out)
    done("llm", "extend", work / "text", "-o", tmp_path / "named", *options, 4, "--name", "speech")
    assert "was packed for a vocabulary" in mismatch(work, "data", tmp_path / "named", out)
    shutil.copytree(work / "data", tmp_path / "sizes")
    about = json.loads((tmp_path / "sizes/pack.json").read_text())
    about["streams"]["sizes"] = [512] * 4
    (tmp_path / "sizes/pack.json").write_text(json.dumps(about))
    assert "codebooks of [512, 512, 512, 512] codes" in mismatch(tmp_path, "sizes", work / "model", out)
    assert not out.exists()


def test_stages_and_folders_of_several_plans_are_one_line(work: Path, tmp_path: Path) -> None:
    both = f"stages=[{{trainable: all, steps: 1, learning_rate: 1e-3, data: {work / 'depth'}}}]"
    assert "is arranged by" in refused("llm", "train", work / "data", work / "model", both, "-o", tmp_path / "out")
    (tmp_path / "mixed").mkdir()
    for name in ("data", "flat"):
        shutil.copytree(work / name, tmp_path / "mixed" / name)
    assert "has several streams" in mismatch(tmp_path, "mixed", work / "model", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tokenizer", "random", "-o", "a.wav"], "load the one that it was made for"),
        (["--unconstrained", "-o", "a.wav"], "leave out --unconstrained"),
        (["--max-tokens", "3"], "hold no frame"),
        (["--task", "asr"], "task asr"),
    ],
)
def test_what_cannot_be_generated_is_one_line(work: Path, options: list[str], message: str) -> None:
    task = [] if "--task" in options else ["--task", "tts"]
    assert message in refused("llm", "generate", work / "trained", *task, "--prompt", "the fox", *options)


def test_other_commands_refuse_a_model_of_streams(work: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("good\tbad\na.wav\tb.wav\n")
    line = refused("llm", "score", work / "trained", "--pairs", tmp_path / "pairs.tsv")
    assert "several streams" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "asr", "--pattern", "delay"], "say one speech, at the end"),
        (["--task", "chat", "--pattern", "delay"], "task chat"),
        (["--task", "speech", "--pattern", "delay", "--cut"], "leave out --cut"),
        (["--task", "speech", "--pattern", "delays"], "did you mean delay?"),
        (["--task", "speech", "--text-stream"], "--pattern delay, depth, valle or grouped"),
        (["--task", "speech", "--pattern", "delay", "--length", "4"], "3 items were left out"),
    ],
)
def test_what_cannot_be_packed_is_one_line(work: Path, tmp_path: Path, options: list[str], message: str) -> None:
    arguments = (work / "store", "-o", tmp_path / "out", "--model", work / "model", "--text", work / "store.tsv")
    assert message in refused("llm", "pack", *arguments, *options)
    assert not (tmp_path / "out").exists()

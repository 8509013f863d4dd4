"""Each rule of servers is broken once, and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from codectok.errors import CodectokError
from codectok.llm.model.extend import ExtendOptions, extend_folder
from codectok.llm.model.verify import Check, verify_folder
from tests.llm.tiny_models import Codes, folder

tf = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    made = {}
    for tied in (True, False):
        base = tmp_path_factory.mktemp("models")
        folder(base / "base", tied=tied, padding=9)
        extend_folder(str(base / "base"), base / "out", Codes(), ExtendOptions(pad_multiple=16))
        made[tied] = base / "out"
    return made


def failed(path: Path) -> dict[str, Check]:
    return {c.rule: c for c in verify_folder(path) if c.ok is False}


def edit(name: str, **values: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        plain = json.loads((path / name).read_text())
        (path / name).write_text(json.dumps({**plain, **values}))

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        tensors = load_file(path / "model.safetensors")
        change(tensors)
        save_file(tensors, path / "model.safetensors", {"format": "pt"})

    return rewrite


def spoil(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.embed_tokens.weight"][-1, 0] = float("nan")


def shorten(name: str) -> Callable[[dict[str, torch.Tensor]], None]:
    return lambda tensors: tensors.update({name: tensors[name][:-16].clone()})


def other_token(path: Path) -> None:
    text = (path / "tokenizer.json").read_text(encoding="utf-8")
    (path / "tokenizer.json").write_text(text.replace("<|audio_1_3|>", "<|audio_x|>"), encoding="utf-8")


def gap(path: Path) -> None:
    """A token of text moves behind all others and leaves a hole."""
    plain = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
    plain["model"]["vocab"]["!"] = 470
    (path / "tokenizer.json").write_text(json.dumps(plain), encoding="utf-8")


def special(path: Path) -> None:
    plain = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
    next(t for t in plain["added_tokens"] if t["content"] == "<|audio_0_7|>")["special"] = True
    (path / "tokenizer.json").write_text(json.dumps(plain), encoding="utf-8")


CASES: list[tuple[str, bool, Callable[[Path], Any]]] = [
    ("embedding rows = vocab_size", False, edit("config.json", vocab_size=600)),
    ("embedding rows = vocab_size", True, weights(shorten("model.embed_tokens.weight"))),
    ("head rows = vocab_size", False, weights(shorten("lm_head.weight"))),
    ("head rows = vocab_size", True, edit("config.json", tie_word_embeddings=False)),
    ("no head bias", False, weights(lambda t: t.update({"lm_head.bias": torch.zeros(480)}))),
    ("tie flag = weights", False, edit("config.json", tie_word_embeddings=True)),
    ("embedding is finite", True, weights(spoil)),
    ("tokenizer within vocab_size", True, edit("config.json", vocab_size=400)),
    ("audio ids within vocab_size", True, edit("config.json", vocab_size=400)),
    ("ids contiguous", True, gap),
    ("audio ids = tokenizer", True, other_token),
    ("codes are not special", True, special),
    ("end of text exists", True, edit("generation_config.json", eos_token_id=470)),
    ("end of text exists", True, edit("generation_config.json", eos_token_id=None)),
    ("end of text is no code", True, edit("generation_config.json", eos_token_id=[2, 400])),
    ("padding exists", True, edit("generation_config.json", pad_token_id=99999)),
    ("no pickles", True, lambda p: (p / "pytorch_model.bin").write_bytes(b"")),
    ("audio_vocab.json", True, lambda p: (p / "audio_vocab.json").unlink()),
    ("weights in safetensors", True, lambda p: (p / "model.safetensors").write_bytes(b"\0" * 20)),
    ("tokenizer", True, lambda p: [(p / n).unlink() for n in ("tokenizer.json", "tokenizer_config.json")]),
    ("generation_config.json", True, lambda p: (p / "generation_config.json").write_text("{")),
    ("generation_config.json", True, lambda p: (p / "generation_config.json").write_text("[1]")),
    ("generation_config.json", True, edit("generation_config.json", eos_token_id="</s>")),
    ("configuration", True, edit("config.json", model_type="nothing-known")),
]


@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{i} {rule}" for i, (rule, _, _) in enumerate(CASES)])
def test_each_rule(good: dict[bool, Path], tmp_path: Path, case: int) -> None:
    rule, tied, break_it = CASES[case]
    path = tmp_path / "model"
    shutil.copytree(good[tied], path)
    assert failed(path) == {}
    break_it(path)
    found = failed(path)
    assert rule in found
    assert found[rule].remedy
    allowed = {rule, "audio ids within vocab_size", "tokenizer within vocab_size", "embedding rows = vocab_size",
               "head rows = vocab_size", "tie flag = weights", "audio ids = tokenizer", "ids contiguous"}  # fmt: skip
    assert set(found) <= allowed


def test_padding_that_ends_is_a_note(good: dict[bool, Path], tmp_path: Path) -> None:
    shutil.copytree(good[True], tmp_path / "model")
    edit("generation_config.json", pad_token_id=2)(tmp_path / "model")
    note = next(c for c in verify_folder(tmp_path / "model") if c.rule == "padding exists")
    assert note.ok is None
    assert "also an end of text" in note.found


def test_a_damaged_vocabulary_is_not_called_new(good: dict[bool, Path], tmp_path: Path) -> None:
    shutil.copytree(good[True], tmp_path / "model")
    (tmp_path / "model" / "audio_vocab.json").write_text("{}")
    found = failed(tmp_path / "model")["audio_vocab.json"].found
    assert "damaged" in found
    assert "update" not in found


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CodectokError, match="not a folder"):
        verify_folder(tmp_path / "none")

"""Extending a model: what was there stays, what is new has sensible rows, and the folder loads anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from codectok.errors import FormatError
from codectok.llm.model.extend import ExtendOptions, extend_folder, extend_model, make_vocab
from codectok.llm.model.resize import rows_needed
from codectok.llm.model.verify import verify_folder
from codectok.llm.vocab.audio_vocab import AudioVocab
from tests.llm.text_tokenizers import text_tokenizer
from tests.llm.tiny_models import FAMILIES, Codes, folder, model

tf = pytest.importorskip("transformers")

TEXT = "the quick brown fox jumps over the lazy dog"
NEW = 40 + 24 + 2
"""Codes and markers of ``Codes``."""


def opened(path: Path) -> tuple[Any, Any]:
    return tf.AutoModelForCausalLM.from_pretrained(path).eval(), tf.AutoTokenizer.from_pretrained(path)


def logits(of: Any, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return of(torch.tensor([ids])).logits[0]


@pytest.mark.parametrize("padding", [0, 30, 200])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_old_rows_and_text_stay(tmp_path: Path, family: str, tied: bool, padding: int) -> None:
    base = folder(tmp_path / "base", family, tied=tied, padding=padding)
    init = {0: "mean", 30: "normal", 200: "codebook"}[padding]
    report = extend_folder(str(base), tmp_path / "out", Codes(), ExtendOptions(init=init, pad_multiple=8))
    (before, tokenizer), (after, extended) = opened(base), opened(tmp_path / "out")
    # Qwen2's class adds an end of text of its own to the tokenizer: one token more than rows, without padding.
    length, old_rows = len(tokenizer), before.config.vocab_size
    rows = -(-max(old_rows, length + NEW) // 8) * 8
    assert report.rows == rows == after.config.vocab_size
    assert len(extended) == length + NEW
    assert report.rows_reused == min(max(0, old_rows - length), NEW)
    assert report.tied is tied
    assert after.config.tie_word_embeddings is tied
    assert (after.get_input_embeddings().weight is after.get_output_embeddings().weight) is tied
    kept = torch.cat([torch.arange(length), torch.arange(length + NEW, max(old_rows, length + NEW))])
    kept = kept[kept < old_rows]
    for get in ("get_input_embeddings", "get_output_embeddings"):
        old, new = getattr(before, get)().weight, getattr(after, get)().weight
        assert len(new) == rows
        assert torch.equal(old[kept], new[kept])
        fresh = new[length : length + NEW]
        assert 0.2 < fresh.norm(dim=1).mean() / old[:length].norm(dim=1).mean() < 2
        if init != "mean":
            assert len(fresh.unique(dim=0)) == NEW
    ids = tokenizer(TEXT)["input_ids"]
    assert extended(TEXT)["input_ids"] == ids
    a, b = logits(before, ids)[:, kept], logits(after, ids)[:, kept]
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    assert torch.equal(a.argmax(1), b.argmax(1))
    assert [c for c in verify_folder(tmp_path / "out") if c.ok is False] == []
    assert AudioVocab.load(tmp_path / "out").rows <= rows


def test_untied_head_has_its_own_rows(tmp_path: Path) -> None:
    tokenizer = text_tokenizer("byte-level")
    made = model("llama", len(tokenizer) + 20, tied=False)
    with torch.no_grad():
        made.lm_head.weight.add_(3)
        for table in (made.get_input_embeddings().weight, made.lm_head.weight):
            table[len(tokenizer) :] = 100  # padding, which is no text and must not count
    vocab = make_vocab(tokenizer, Codes())
    extend_model(made, tokenizer, vocab, ExtendOptions("mean"))
    base = vocab.base_id
    for table in (made.get_input_embeddings().weight, made.lm_head.weight):
        mean = table[:base].mean(0)
        torch.testing.assert_close(table[base:], mean.expand(NEW, -1), rtol=0, atol=1e-5)
    assert made.lm_head.weight[base:].mean() > 2 > made.get_input_embeddings().weight[base:].mean()


def test_files_that_differ_are_not_tied_by_the_flag(tmp_path: Path) -> None:
    base = folder(tmp_path / "base", tied=False)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    assert extend_folder(str(base), tmp_path / "out", Codes(), ExtendOptions()).tied is False
    assert json.loads((tmp_path / "out/config.json").read_text())["tie_word_embeddings"] is False


def test_the_same_twice(tmp_path: Path) -> None:
    base = str(folder(tmp_path / "base", tied=False))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        extend_folder(base, tmp_path / name, Codes(), ExtendOptions(seed=seed))
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c
    tables = load_file(tmp_path / "a/model.safetensors")
    new = [tables[name][-NEW:].flatten() for name in ("model.embed_tokens.weight", "lm_head.weight")]
    assert torch.stack([(t - t.mean()) for t in new]).corrcoef()[0, 1].abs() < 0.9  # draws of their own, about one mean


def test_report(tmp_path: Path) -> None:
    base = folder(tmp_path / "base", padding=30, dtype=torch.bfloat16)
    report = extend_folder(str(base), tmp_path / "out", Codes(), ExtendOptions())
    stored = json.loads((tmp_path / "out/extend_report.json").read_text())
    assert stored == json.loads(json.dumps(report.to_dict()))
    assert report.dtype == "bfloat16"
    figures = report.text
    assert figures is not None
    assert 0 < figures.new_mass < 0.2
    assert 0 < figures.new_mass_before < figures.new_mass
    assert figures.kl == pytest.approx(-torch.log1p(torch.tensor(-figures.new_mass)).item(), rel=0.05)
    assert abs(figures.kl_renormalised) < 1e-3
    assert figures.same_argmax == 1
    text, new = report.tables
    assert (text["count"], new["count"]) == (len(text_tokenizer("byte-level")), NEW)
    assert new["closest"] > 0
    assert new["equal"] == 0


def test_equal_rows_are_counted(tmp_path: Path) -> None:
    base = folder(tmp_path / "base", dtype=torch.bfloat16)
    report = extend_folder(str(base), tmp_path / "out", Codes(), ExtendOptions("mean"))
    assert report.tables[1]["equal"] == NEW - 1
    assert report.tables[1]["closest"] == 0


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("orpheus", "llama-mimi", "spark-tts", "llasa")]


@pytest.mark.parametrize("name", ["mini-omni", "speechgpt", *SLOW])
def test_presets(tmp_path: Path, name: str) -> None:
    base = folder(tmp_path / "base")
    extend_folder(str(base), tmp_path / "out", None, ExtendOptions("mean"), preset_name=name)
    assert [c for c in verify_folder(tmp_path / "out") if c.ok is False] == []


def test_generation_ids(tmp_path: Path) -> None:
    base = folder(tmp_path / "base")
    extend_folder(str(base), tmp_path / "out", Codes(), ExtendOptions())
    after, tokenizer = opened(tmp_path / "out")
    assert after.generation_config.eos_token_id == 2
    assert after.generation_config.bos_token_id == after.config.bos_token_id == tokenizer.bos_token_id


@pytest.mark.parametrize("needed", [0, 5, 150, 152, 153, 1000])
def test_rows_never_shrink(needed: int) -> None:
    assert rows_needed(152, needed, 64) % 64 == 0
    assert rows_needed(152, needed, 64) >= max(152, needed)
    assert rows_needed(152, needed) == max(152, needed)


def test_refusals(tmp_path: Path) -> None:
    base = folder(tmp_path / "base")
    extend_folder(str(base), tmp_path / "out", Codes(), ExtendOptions())
    cases = [
        ("exists", base, "out"),
        ("audio tokens already", tmp_path / "out", "again"),
        ("no text tokenizer", tmp_path, "none"),
    ]
    for match, source, target in cases:
        with pytest.raises(FormatError, match=match):
            extend_folder(str(source), tmp_path / target, Codes(), ExtendOptions())
    with pytest.raises(FormatError, match="needs an audio tokenizer"):
        extend_folder(str(base), tmp_path / "x", None, ExtendOptions("codebook"), preset_name="llasa")
    with pytest.raises(FormatError, match="preset llasa is for codebooks"):
        extend_folder(str(base), tmp_path / "x", Codes(), ExtendOptions(), preset_name="llasa")
    torch.save(tf.AutoModelForCausalLM.from_pretrained(base).state_dict(), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    with pytest.raises(FormatError, match="pickles, which are never opened"):
        extend_folder(str(base), tmp_path / "x", Codes(), ExtendOptions())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base", "out"]


def test_a_missing_head_is_not_made_up(tmp_path: Path) -> None:
    base = folder(tmp_path / "base", tied=True)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    with pytest.raises(FormatError, match="lacks 1 weights, lm_head"):
        extend_folder(str(base), tmp_path / "out", Codes(), ExtendOptions())

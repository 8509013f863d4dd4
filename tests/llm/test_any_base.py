"""Base models that have audio tokens of their own, adapters, or weights in several files: none is a dead end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from tokenizers import AddedToken

from codectok.cli.llm_extend import METHODS
from codectok.cli.main import main
from codectok.controls import PcmTokenizer
from codectok.llm.model import initialise
from codectok.llm.model.extend import ExtendOptions, extend_model, make_vocab
from codectok.llm.model.folder import open_model, open_text_tokenizer
from codectok.llm.model.verify import verify_folder
from codectok.llm.sequence.segments import Prompter, Text
from codectok.llm.vocab.audio_vocab import AudioVocab
from tests.llm.text_tokenizers import text_tokenizer
from tests.llm.tiny_models import model

pytest.importorskip("transformers")


def run(*arguments: Any) -> Result:
    result = CliRunner().invoke(main, ["llm", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def base(path: Path, *tokens: str, special: bool = True, **saving: Any) -> Path:
    """A model folder whose tokenizer has some tokens of its own, in front of 20 padded rows."""
    tokenizer = text_tokenizer("byte-level")
    tokenizer.add_tokens([AddedToken(token, special=special, normalized=False) for token in tokens])
    model("qwen2", len(tokenizer) + 20, tied=False).save_pretrained(path, **saving)
    tokenizer.save_pretrained(path)
    return path


def extend(path: Path, out: Path, *options: Any) -> Result:
    return run("extend", path, "-o", out, "--tokenizer", "pcm", *options)


BASES = {
    "qwen-omni": (("<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"), ("--markers", "<|audio_bos|>,<|audio_eos|>")),
    "qwen3-omni": (("<|audio_start|>", "<|audio_end|>", "<|audio_pad|>"), ()),
    "one of both": (("<|audio_end|>",), ()),
    "phi-4-mm": (("<|endoftext10|>", "<|audio_0|>"), ()),
    "whisper tags": (("<|en|>", "<|transcribe|>", *(f"<|{i * 0.02:.2f}|>" for i in range(51))),
                     ("--languages", "en,de", "--timestamps", 51)),
}  # fmt: skip


@pytest.mark.parametrize("name", BASES)
def test_special_tokens_of_the_base_are_used_again(name: str, tmp_path: Path) -> None:
    tokens, options = BASES[name]
    path = base(tmp_path / "base", *tokens)
    done = extend(path, tmp_path / "out", *options)
    assert done.exit_code == 0, done.output
    before, after = open_text_tokenizer(path), open_text_tokenizer(tmp_path / "out")
    vocab = AudioVocab.load(tmp_path / "out")
    old = {token: before.convert_tokens_to_ids(token) for token in tokens}
    assert {token: after.convert_tokens_to_ids(token) for token in tokens} == old
    used = {mark.token: mark.id for mark in vocab.marks}
    assert {t: i for t, i in used.items() if t in old} == {t: i for t, i in old.items() if t in used}
    reused = [t for t in tokens if t in used]
    assert len(reused) == {"qwen-omni": 2, "qwen3-omni": 2, "one of both": 1, "phi-4-mm": 0, "whisper tags": 2}[name]
    if name == "whisper tags":
        assert vocab.timestamps is not None
        assert vocab.timestamps.base_id == old["<|0.00|>"]
    # Rows of what was there keep their bits, those of used markers too; only new tokens have new rows.
    rows = len(before)
    for old_table, table in zip(weights(path), weights(tmp_path / "out"), strict=True):
        assert torch.equal(old_table[:rows], table[:rows])
    assert all(check.ok is not False for check in verify_folder(tmp_path / "out"))
    new = sum(mark.token not in old for mark in vocab.marks)
    assert len(after) == rows + 256 + new
    assert_converts(after, open_model(tmp_path / "out").config.vocab_size)
    text = Prompter(after, vocab).encode([Text("".join(used) + "<|audio_0_1|>")]).ids
    assert not vocab.owns(text.numpy()).any()


def assert_converts(tokenizer: Any, vocab_size: int) -> None:
    """What llama.cpp's ``convert_hf_to_gguf.py`` takes for granted of a tokenizer, and does with added tokens."""
    assert max(tokenizer.get_vocab().values()) < vocab_size
    added = tokenizer.added_tokens_decoder
    for token, id in tokenizer.get_added_vocab().items():
        if not added[id].normalized:  # the converter writes the name that comes back
            assert tokenizer.decode(tokenizer.encode(token, add_special_tokens=False)) == token


def weights(path: Path) -> list[torch.Tensor]:
    opened = open_model(path)
    return [opened.get_input_embeddings().weight.detach(), opened.get_output_embeddings().weight.detach()]


def test_names_that_are_taken_have_a_way_out(tmp_path: Path) -> None:
    path = base(tmp_path / "a", "<|audio_start|>", "<|audio_0_7|>", special=False)
    refused = extend(path, tmp_path / "out")
    assert refused.exit_code == 2
    assert "<|audio_0_7|>" in refused.stderr
    assert "--name" in refused.stderr
    assert refused.stderr.count("\n") == 1
    done = extend(path, tmp_path / "out", "--name", "speech")
    assert done.exit_code == 0, done.output
    vocab = AudioVocab.load(tmp_path / "out")
    assert vocab.token(vocab.base_id + 7) == "<|speech_0_7|>"
    assert set(vocab.markers) == {"begin", "end"}
    assert vocab.id("<|speech_end|>") == vocab.markers["end"]
    plain = base(tmp_path / "b", "<|audio_start|>", special=False)
    assert "--markers" in extend(plain, tmp_path / "no").stderr
    assert extend(plain, tmp_path / "c", "--markers", "<|a|>,<|b|>").exit_code == 0
    some = base(tmp_path / "d", "<|0.00|>", "<|0.02|>")
    assert "timestamps" in extend(some, tmp_path / "no", "--timestamps", 51).stderr
    for bad in ("<|a|>", "<|a|>,<|a|>", ",b"):
        assert "give two tokens" in extend(plain, tmp_path / "no", "--markers", bad).stderr
    assert "--name" in extend(plain, tmp_path / "no", "--name", "a b").stderr


def test_weights_in_several_files(tmp_path: Path) -> None:
    path = base(tmp_path / "base", max_shard_size="20KB")
    assert len(list(path.glob("model-*.safetensors"))) > 2
    done = extend(path, tmp_path / "out", "--pad-multiple", 64)
    assert done.exit_code == 0, done.output
    for old, new in zip(weights(path), weights(tmp_path / "out"), strict=True):
        assert len(new) % 64 == 0
        tokens = len(open_text_tokenizer(path))
        assert torch.equal(old[:tokens], new[:tokens])
    opened = open_model(tmp_path / "out")
    opened.save_pretrained(tmp_path / "out", max_shard_size="20KB")
    (tmp_path / "out/model.safetensors").unlink(missing_ok=True)
    assert all(check.ok is not False for check in verify_folder(tmp_path / "out"))


def lora(made: Any) -> Any:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    wrapped = peft.get_peft_model(made, config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator))
    return wrapped.eval()


def test_a_wrapped_model_takes_the_tokens_in_place(tmp_path: Path) -> None:
    tokenizer = text_tokenizer("byte-level")
    wrapped = lora(model("llama", len(tokenizer), tied=False))
    ids = torch.tensor([[5, 9, 40]])
    with torch.no_grad():
        before = wrapped(ids).logits
    vocab = make_vocab(tokenizer, PcmTokenizer())
    extend_model(wrapped, tokenizer, vocab, ExtendOptions(), PcmTokenizer())
    with torch.no_grad():
        after = wrapped(ids).logits
    assert after.shape[-1] == vocab.rows
    torch.testing.assert_close(after[..., : before.shape[-1]], before)


def test_a_folder_of_an_adapter_is_merged(tmp_path: Path) -> None:
    path = base(tmp_path / "base")
    wrapped = lora(open_model(path))
    wrapped.save_pretrained(tmp_path / "adapter")
    config = tmp_path / "adapter/adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": str(path)}))
    open_text_tokenizer(path).save_pretrained(tmp_path / "adapter")
    done = extend(tmp_path / "adapter", tmp_path / "out")
    assert done.exit_code == 0, done.output
    ids = torch.tensor([[5, 9, 40]])
    made = open_model(tmp_path / "out")
    with torch.no_grad():
        wanted, found, without = wrapped(ids).logits, made(ids).logits, open_model(path)(ids).logits
    tokens = len(open_text_tokenizer(path))
    torch.testing.assert_close(found[..., :tokens], wanted[..., :tokens], rtol=1e-4, atol=1e-5)
    assert (wanted - without).abs().max() > 1e-3
    assert not (tmp_path / "out/adapter_config.json").exists()


def test_the_command_has_every_method() -> None:
    assert METHODS == initialise.METHODS

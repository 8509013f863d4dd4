"""Prompts of tasks: what generation is given is what training gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner, Result

from codectok.cli.main import main
from codectok.controls import PcmTokenizer
from codectok.errors import CodectokError
from codectok.llm.model.extend_report import extended_with
from codectok.llm.model.folder import open_text_tokenizer, save_model
from codectok.llm.sequence.encoder import SequenceEncoder
from codectok.llm.sequence.loss_labels import IGNORE
from codectok.llm.sequence.prompts import task_prompt
from codectok.llm.sequence.segments import Marker, Prompter
from codectok.llm.sequence.task_table import TASKS, task
from codectok.llm.sequence.tasks import TaskItem
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.tags import Mark, whisper_tags
from codectok.llm.vocab.text_tokenizer import add_to, next_id
from codectok.store import open_store
from tests.llm.test_pack_cli import home, run, sequences
from tests.llm.text_tokenizers import text_tokenizer, with_audio
from tests.llm.tiny_models import folder, model

pytest.importorskip("transformers")
__all__ = ["home"]

SIZES = (40, 24)
CODES = torch.stack([torch.arange(7) % 40, torch.arange(7) * 3 % 24])
LLASA = [f"speech_{use}_{end}" for use in ("understanding", "generation") for end in ("start", "end")]


def kinds(kind: str) -> tuple[Any, AudioVocab]:
    """A tokenizer and a vocabulary with Whisper's tags, without, with LLaSA's markers, or without markers."""
    tokenizer = text_tokenizer("byte-level")
    base = next_id(tokenizer)
    if kind == "llasa":
        marks = tuple(Mark(role, f"<|{role}|>", base + i) for i, role in enumerate(LLASA))
        vocab = AudioVocab("llasa", SIZES, base + len(marks), marks=marks)
    elif kind == "none":
        vocab = AudioVocab("none", SIZES, base)
    else:
        tags = whisper_tags(("en", "de")) if kind == "tags" else ()
        vocab = AudioVocab.create(SIZES, base, tags=tags, timestamps=101)
    add_to(tokenizer, vocab)
    return tokenizer, vocab


def prefix(labels: list[int]) -> int:
    return next(i for i, label in enumerate(labels) if label != IGNORE)


@pytest.mark.parametrize("kind", ["tags", "plain", "llasa", "none"])
@pytest.mark.parametrize("name", ["asr", "tts", "speech-to-text", "s2st", "s2tt", "spoken-qa", "repetition", "caption"])
def test_a_prompt_is_what_training_gave(kind: str, name: str) -> None:
    tokenizer, vocab = kinds(kind)
    if name == "caption" and vocab.timestamps is None:
        return
    chosen, words = task(name), "the quick fox"
    item = TaskItem("u", CODES, words, CODES, "der Fuchs")
    made = SequenceEncoder(vocab, tokenizer)(chosen.parts(item, chosen.style(vocab), vocab))
    given = prefix(made.labels.tolist())
    hears = name != "tts"
    segments = task_prompt(name, vocab, "" if hears else words, CODES if hears else None)
    ids = Prompter(tokenizer, vocab).encode(segments, bos=True).ids.tolist()
    assert ids == made.ids[:given].tolist()
    if name in ("tts", "s2st"):  # the start marker is the model's to say; where sound is wanted it is said for it
        segments = task_prompt(name, vocab, "" if hears else words, CODES if hears else None, speak=True)
        ids = Prompter(tokenizer, vocab).encode(segments, bos=True).ids.tolist()
        assert ids == made.ids[: given + (kind != "none")].tolist()


@pytest.mark.parametrize("name", ["asr", "tts"])
def test_a_prompt_is_what_pack_wrote(home: Path, tmp_path: Path, name: str) -> None:
    assert run(home, tmp_path / "out", "--task", name, "--text", str(home / "texts.tsv")).exit_code == 0
    tokenizer, vocab = with_audio("byte-level")
    tokens = open_store(home / "store")["book1/u6"]
    ids, labels = sequences(tmp_path / "out")["book1/u6"]
    segments = task_prompt(name, vocab, *(("", tokens.codes) if name == "asr" else ("the fox 6", None)))
    assert Prompter(tokenizer, vocab).encode(segments, bos=True).ids.tolist() == ids[: prefix(labels)]
    cue = json.loads((tmp_path / "out/pack.json").read_text())["style"]["cue"]
    assert cue == ([{"role": "transcribe"}] if name == "asr" else [{"text": "Say the text:\n", "trusted": False}])


def test_what_a_task_reads() -> None:
    _, vocab = kinds("tags")
    for name, text, codes, speak, match in [
        ("asr", "", None, False, "needs audio"),
        ("asr", "a", CODES, False, "given no text"),
        ("tts", "", None, True, "needs text"),
        ("tts", "a", CODES, True, "given no audio"),
        ("asr", "", CODES, True, "says no sound"),
        ("sing", "", None, False, "no task 'sing'"),
    ]:
        with pytest.raises(CodectokError, match=match):
            task_prompt(name, vocab, text, codes, speak=speak)
    assert task_prompt("speech", vocab, speak=True) == [Marker("begin")]
    assert task_prompt("text", vocab) == []
    held = task_prompt("speech-continuation", vocab, codes=CODES, speak=True)
    assert torch.equal(held[1].codes, CODES)  # type: ignore[union-attr]
    for name, one in TASKS.items():
        given = [("a" if text else "", CODES if codes else None) for text in (0, 1) for codes in (0, 1)]
        fits = 0
        for text, codes in given:
            try:
                task_prompt(name, vocab, text, codes)
                fits += 1
            except CodectokError:
                pass
        assert fits == 1, one


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts")
    folder(path / "text", "llama")
    assert llm("extend", path / "text", "-o", path / "out", "--tokenizer", "pcm").exit_code == 0
    soundfile.write(path / "a.wav", np.linspace(-0.5, 0.5, 40), 16000)
    return path / "out"


def llm(*arguments: Any) -> Result:
    result = CliRunner().invoke(main, ["llm", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_generate_command(extended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from codectok.cli import llm_prompts as module

    tokenizer, vocab = open_text_tokenizer(extended), AudioVocab.load(extended)
    tok, wav = PcmTokenizer(), extended.parent / "a.wav"
    assert extended_with(extended) == "pcm"
    codes = tok.encode(str(wav))
    seen: list[Any] = []
    plain = module.generate
    monkeypatch.setattr(module, "generate", lambda *a, **k: seen.append((a[3].tolist(), k)) or plain(*a, **k))
    # --tokenizer is pcm, since extend says so
    assert llm("generate", extended, "--task", "asr", "--audio", wav, "--max-tokens", 2).exit_code == 0
    item = TaskItem("u", codes, "fox")
    for name in ("asr", "tts"):
        made = SequenceEncoder(vocab, tokenizer)(task(name).parts(item, task(name).style(vocab), vocab))
        given = prefix(made.labels.tolist())
        if name == "asr":
            assert seen[-1][0] == made.ids[:given].tolist()
        else:
            out = ("-o", tmp_path / "b.wav", "--max-tokens", 50, "--max-seconds", 0.001)
            assert llm("generate", extended, "--task", "tts", "--prompt", "fox", *out).exit_code == 0
            assert seen[-1][0] == made.ids[: given + 1].tolist()


def test_generation_with_markers_of_their_own_and_dropped_tokens(tmp_path: Path) -> None:
    """LLaSA's markers, for a model without constraints; what fits no frame is counted on stderr."""
    pcm = PcmTokenizer()
    tokenizer = text_tokenizer("byte-level")
    base = next_id(tokenizer)
    marks = tuple(Mark(role, f"<|{role}|>", base + i) for i, role in enumerate(LLASA))
    vocab = AudioVocab("llasa", (256,), base + 4, marks=marks, tokenizer_fingerprint=pcm.fingerprint)
    add_to(tokenizer, vocab)
    save_model(tmp_path, model("llama", len(tokenizer), tied=True), tokenizer, vocab)
    options = ("--tokenizer", "pcm", "--max-tokens", 40, "--temperature", 1, "--seed", 1)
    said = llm("generate", tmp_path, "--task", "tts", "--prompt", "fox", "-o", tmp_path / "a.wav", *options)
    assert said.exit_code == 0, said.output
    assert "dropped" not in said.stderr
    heard = llm("generate", tmp_path, "--audio", tmp_path / "a.wav", "--unconstrained", *options)
    assert heard.exit_code == 0, heard.output
    assert "audio tokens made no whole frame and were dropped" in heard.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--prompt", "a", "--max-seconds", "1"], "--max-seconds goes with"),
        (["--prompt", "a", "--top-p", "0.5"], "--top-p draws"),
        (["--prompt", "a", "--device", "cuda:77"], "device 'cuda:77' cannot be used"),
        (["--prompt", "a", "--device", "meta"], "device 'meta' cannot be used"),
        (["--prompt", "a", "--device", "there"], "device 'there' cannot be used"),
        (["--task", "asr"], "needs audio"),
        (["--task", "dance"], "no task 'dance'"),
    ],
)
def test_refusals(extended: Path, more: list[str], message: str) -> None:
    result = llm("generate", extended, *more)
    assert result.exit_code == 2
    assert message in result.stderr

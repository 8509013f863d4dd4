"""A small store of random codes with texts, a tiny language model of any family, and the commands between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

import codectok
from codectok.llm.generate.events import AudioPiece, TextPiece
from codectok.llm.generate.stream_generation import generate_streams
from codectok.llm.heads.stream_folder import open_streams
from codectok.llm.model.folder import open_text_tokenizer
from codectok.llm.sequence.prompts import task_prompt
from codectok.llm.sequence.segments import Prompter
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.store import Store, StoreInfo, StoreOptions, open_store
from codectok.store.writer import StoreWriter
from tests.commands import done
from tests.llm.text_tokenizers import text_tokenizer

BOOKS, USED = 4, 40
STAGES = "stages=[{{trainable: all, steps: {steps}, learning_rate: {rate}}}]"


def text_of(i: int) -> str:
    return f"the fox {i} over"


def store(folder: Path, count: int, frames: tuple[int, int] = (5, 12)) -> Store:
    """Utterances of the codes of ``speech``, ``USED`` of them of each codebook, and a table of their texts beside."""
    tok, rng = codectok.load("speech"), np.random.default_rng(0)
    info = StoreInfo(
        "parquet", "speech", tok.fingerprint, tok.sample_rate, tok.frame_rate, tok.codebook_sizes[:BOOKS],
        StoreOptions(), "0" * 64,
    )  # fmt: skip
    rows = []
    for i in range(count):
        codes = torch.from_numpy(rng.integers(0, USED, (BOOKS, int(rng.integers(*frames)))))
        rows.append((f"u{i}", info.tokens(codes, int(codes.shape[1] * tok.sample_rate / tok.frame_rate), None)))
    writer = StoreWriter(folder, info, 1)
    writer.write_shard(0, rows, [], "a")
    writer.close({"wall_seconds": 1.0})
    lines = [f"u{i}.wav\t{text_of(i)}" for i in range(count)]
    folder.with_suffix(".tsv").write_text("path\ttext\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return open_store(folder)


def text_model(folder: Path, family: str = "llama", width: int = 64) -> Path:
    """A random language model with its text tokenizer."""
    import transformers as tf

    tokenizer = text_tokenizer("byte-level")
    torch.manual_seed(0)
    common: dict[str, Any] = {"vocab_size": len(tokenizer), "tie_word_embeddings": False, "pad_token_id": None}
    common |= {"bos_token_id": 1, "eos_token_id": 2}
    shape = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"num_key_value_heads": 1, "max_position_embeddings": 256}
    made: Any
    if family == "gpt2":
        made = tf.GPT2LMHeadModel(tf.GPT2Config(n_embd=width, n_layer=2, n_head=2, n_positions=256, **common))
    elif family == "qwen2":
        made = tf.Qwen2ForCausalLM(tf.Qwen2Config(**shape, **common))
    else:
        made = tf.LlamaForCausalLM(tf.LlamaConfig(**shape, **common))
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def extend(root: Path, family: str = "llama", width: int = 64) -> Path:
    """The model with the codes of ``speech``, in ROOT/model."""
    text_model(root / "text", family, width)
    done("llm", "extend", root / "text", "-o", root / "model", "--tokenizer", "speech", "--codebooks", BOOKS, "--init",
         "normal")  # fmt: skip
    return root / "model"


def pack(root: Path, pattern: str, *more: object, out: str = "data", task: str = "tts") -> Path:
    """ROOT/store for ROOT/model."""
    done("llm", "pack", root / "store", "-o", root / out, "--model", root / "model", "--task", task, "--pattern",
         pattern, "--text", root / "store.tsv", "--length", 200, *more)  # fmt: skip
    return root / out


def train(root: Path, steps: int, *more: object, data: str = "data", out: str = "trained", rate: float = 3e-3) -> Path:
    """ROOT/model on ROOT/data."""
    done("llm", "train", root / data, root / "model", STAGES.format(steps=steps, rate=rate), "-o", root / out,
         "batch=10", "threads=1", "weight_decay=0", *more)  # fmt: skip
    return root / out


class Speaker:
    """A trained folder that is asked for one utterance after the other."""

    def __init__(self, folder: Path) -> None:
        self.vocab, self.tokenizer = AudioVocab.load(folder), open_text_tokenizer(folder)
        self.model = open_streams(folder, self.vocab)

    def prompt(self, text: str, task: str = "tts") -> torch.Tensor:
        given = task_prompt(task, self.vocab, text, speak=True)
        return Prompter(self.tokenizer, self.vocab).encode(given, bos=self.tokenizer.bos_token_id is not None).ids

    def say(self, text: str, **options: Any) -> tuple[torch.Tensor, str]:
        """Codes [K, T] and what the text stream says."""
        events = list(generate_streams(self.model, self.tokenizer, self.prompt(text), **options))
        codes = torch.cat([e.codes for e in events if isinstance(e, AudioPiece)], 1)
        return codes, "".join(e.text for e in events if isinstance(e, TextPiece))

"""Small random language models of four families over a text tokenizer trained here, saved as folders."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from codectok.tokenizer import Tokenizer
from tests.llm.text_tokenizers import text_tokenizer

FAMILIES = ("llama", "qwen2", "gemma", "gpt2")
WIDTH = 16


def model(family: str, rows: int, *, tied: bool, seed: int = 0, **more: Any) -> Any:
    """Of random weights, as wide as ``WIDTH``; rows of text a good deal off zero, as trained ones are."""
    import transformers as tf

    torch.manual_seed(seed)
    common: dict[str, Any] = {"vocab_size": rows, "tie_word_embeddings": tied, "bos_token_id": 1, "eos_token_id": 2}
    common["pad_token_id"] = None
    decoder = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    decoder |= {"num_key_value_heads": 1, "max_position_embeddings": 256, **common, **more}
    made: Any
    if family == "llama":
        made = tf.LlamaForCausalLM(tf.LlamaConfig(**decoder))
    elif family == "qwen2":
        made = tf.Qwen2ForCausalLM(tf.Qwen2Config(**decoder))
    elif family == "gemma":
        made = tf.GemmaForCausalLM(tf.GemmaConfig(head_dim=8, **decoder))
    else:
        made = tf.GPT2LMHeadModel(tf.GPT2Config(n_embd=WIDTH, n_layer=2, n_head=2, n_positions=256, **common, **more))
    with torch.no_grad():
        for table in {made.get_input_embeddings().weight, made.get_output_embeddings().weight}:
            table.add_(torch.randn(WIDTH) * 0.02)
    return made.eval()


def folder(path: Path, family: str = "llama", *, tied: bool = True, padding: int = 0, kind: str = "byte-level",
           dtype: torch.dtype = torch.float32) -> Path:  # fmt: skip
    """A model folder with its text tokenizer; ``padding`` rows more than tokens, of a norm of their own."""
    tokenizer = text_tokenizer(kind)
    made = model(family, len(tokenizer) + padding, tied=tied)
    with torch.no_grad():
        for table in {made.get_input_embeddings().weight, made.get_output_embeddings().weight}:
            table[len(tokenizer) :] *= 1e-3
    made.to(dtype).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


class Codes(Tokenizer):
    """Two codebooks with vectors, and nothing else."""

    name, sample_rate, frame_rate, fingerprint, feature_dim = "codes", 16000, Fraction(50), "codes", 6
    codebook_sizes = (40, 24)

    def num_frames(self, num_samples: int) -> int:
        return num_samples // 320

    def _encode(self, clips: Any, num_codebooks: int) -> Any:
        raise NotImplementedError

    def _features(self, clips: Any) -> Any:
        raise NotImplementedError

    def _code_vectors(self, codebook: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(codebook)
        return 5 + 3 * torch.randn(self.codebook_sizes[codebook], 6, generator=generator)

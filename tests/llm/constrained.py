"""Vocabularies, patterns and a tiny random language model for the tests of constrained generation."""

from __future__ import annotations

from typing import Any

import torch

from codectok.llm.generate.logits import AudioGrammar
from codectok.llm.patterns import Fill, Flatten, MultiRate, Sections, audio_lm, music_lm
from codectok.llm.vocab.audio_vocab import AudioVocab

TEXT = 20
"""Ids 0 .. 19 are text; 1 ends a sequence."""
PADDED = 16
"""Rows of the model that no token has."""


def vocab(*sizes: int, separator: bool = False, **options: Any) -> AudioVocab:
    tags = [("marker", "separator", "<|audio_next|>")] if separator else []
    return AudioVocab.create(sizes, TEXT, tags=[*tags, ("task", "transcribe", "<|transcribe|>")], **options)


def grammars(**limits: Any) -> dict[str, AudioGrammar]:
    """Every pattern of one stream, over vocabularies of both layouts, unequal, shared and fused codebooks."""

    def make(of: AudioVocab, pattern: Any, **more: Any) -> AudioGrammar:
        return AudioGrammar(of, pattern, text_size=of.end_id, **{**limits, **more})

    exact = {"min_frames": 0, "max_frames": None, "num_frames": 4}
    snac = (0, 1, 2, 2, 1, 2, 2)
    return {
        "one codebook": make(vocab(9), Flatten()),
        "flatten": make(vocab(5, 6, 7), Flatten()),
        "flatten, code-major": make(vocab(6, 6, 6, order="code-major"), Flatten()),
        "flatten, other order": make(vocab(5, 6, 7), Flatten((2, 0, 1))),
        "partial flatten by super tokens": make(vocab(5, 6 * 7), Flatten()),
        "frames grouped by super tokens": make(vocab(5 * 5, 6 * 6), Flatten()),
        "multi-rate": make(vocab(*[5] * 7, slots=snac), MultiRate(snac)),
        "multi-rate, shared blocks": make(vocab(*[5] * 7, slots=snac, shared=True), MultiRate(snac)),
        "codebook-major, known length": make(vocab(5, 6, 7), Sections(), **exact),
        "codebook-major, separators": make(vocab(5, 6, 7, separator=True), Sections(ends=True)),
        "coarse-first, known length": make(vocab(5, 6, 7), Sections(((0,), (1, 2))), **exact),
        "coarse-first, separators": make(vocab(5, 6, 7, separator=True), Sections(((0,), (1, 2)), ends=True)),
        "semantic, coarse, fine": make(vocab(5, 6, 7, 8, separator=True), audio_lm(4, 2)),
        "coarse-first, two ahead": make(vocab(5, 6, 7, separator=True), Sections(((0, 1), (2,)), ends=True)),
        "music lm": make(vocab(5, 6, 7, 8), music_lm(4), **exact),
    }


def sequence(grammar: AudioGrammar, codes: torch.Tensor) -> list[int]:
    """Codes [K, T] as a sequence with its markers."""
    fill = Fill() if grammar.separator is None else Fill.all(grammar.separator)
    return [grammar.begin, *grammar.pattern.apply(grammar.vocab.ids(codes), fill)[0].tolist(), grammar.end]


def llama(rows: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=rows, max_position_embeddings=512, **shape)
    config.pad_token_id, config.bos_token_id, config.eos_token_id = 0, None, 1
    return LlamaForCausalLM(config).eval()

"""How well a model still writes: perplexity on a text, to compare before and after."""

from __future__ import annotations

import math
from typing import Any

import torch

from codectok.errors import FormatError
from codectok.llm.sequence.segments import Prompter, Text
from codectok.llm.vocab.audio_vocab import AudioVocab

WINDOW = 256
MAX_TOKENS = 8192


@torch.inference_mode()
def text_perplexity(model: Any, tokenizer: Any, vocab: AudioVocab, text: str) -> float:
    """Perplexity of a text under the whole vocabulary, audio included, in windows of 256 tokens, the first 8192.

    Probability that text loses to audio tokens counts as loss.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer, with the audio tokens.
        vocab: whose tokens are never read out of the text.
        text: at least two tokens of it.

    Raises:
        FormatError: a shorter text.
    """
    ids = Prompter(tokenizer, vocab).encode([Text(text)]).ids[:MAX_TOKENS]
    if len(ids) < 2:
        raise FormatError("the text that retention is measured on has fewer than two tokens: give a longer one")
    training = model.training
    model.eval()
    total, count = 0.0, 0
    for window in ids.split(WINDOW):
        if len(window) < 2:
            continue
        window = window.to(next(model.parameters()).device)
        logits = model(input_ids=window[None], use_cache=False).logits[0, :-1].float()
        total += float(torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum"))
        count += len(window) - 1
    model.train(training)
    return math.exp(min(total / count, 700.0))

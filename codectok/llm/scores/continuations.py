"""What a model's continuations say: written down by a recogniser, and judged by a text model (GSLM, Lakhotia 2021).

A model that says one likely phrase again and again has a low perplexity, so how much the text repeats itself stands
beside it: GSLM's auto-BLEU of two words, the share of a text's word pairs that occur in it more than once.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from codectok.errors import CodectokError, FormatError
from codectok.llm.generate.events import AudioPiece
from codectok.llm.generate.generation import generate
from codectok.llm.scores.likelihood import SpeechLM, log_probs
from codectok.llm.sequence.task_table import task
from codectok.tokens import Tokens


@dataclass(frozen=True)
class TextScore:
    """Of one text, or of several together.

    Attributes:
        nats: minus the log probability of its tokens but the first, or of all where the model has a beginning.
        tokens: counted in it.
        pairs: of neighbouring words;
        repeated: and those that occur more than once in their text.
    """

    nats: float = 0.0
    tokens: int = 0
    pairs: int = 0
    repeated: int = 0

    @property
    def perplexity(self) -> float | None:
        """Of a text token; None without any."""
        return math.exp(min(self.nats / self.tokens, 700.0)) if self.tokens else None

    @property
    def auto_bleu_2(self) -> float | None:
        """Share of word pairs that are repeated; None without any."""
        return self.repeated / self.pairs if self.pairs else None

    def __add__(self, other: TextScore) -> TextScore:
        """Both together."""
        return TextScore(
            self.nats + other.nats,
            self.tokens + other.tokens,
            self.pairs + other.pairs,
            self.repeated + other.repeated,
        )


def score_text(model: Any, tokenizer: Any, text: str) -> TextScore:
    """How likely a text model finds a text, and how much that repeats itself."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    limit = getattr(model.config, "max_position_embeddings", None) or len(ids) + 1
    table = torch.tensor([*begin, *ids], dtype=torch.int64)[:limit]
    words = text.lower().split()
    counts = Counter(pairwise(words))
    repeated = sum(n for n in counts.values() if n > 1)
    if len(table) < 2:
        return TextScore(pairs=counts.total(), repeated=repeated)
    nats = -float(log_probs(model, table)[1:].double().sum())
    return TextScore(nats, len(table) - 1, counts.total(), repeated)


def continue_speech(lm: SpeechLM, prompt: Tokens, max_seconds: float, **options: Any) -> np.ndarray:
    """What the model says after some speech, float32 [S]: the new part alone, decoded after the old.

    Args:
        lm: the model.
        prompt: the speech that is given.
        max_seconds: of new speech, at most.
        options: of the draws, see :func:`codectok.llm.generate.generation.generate`.

    Raises:
        CodectokError: no new frame, or a tokenizer that cannot decode.
    """
    if not lm.tok.can_decode:
        raise CodectokError(f"{lm.tok.name} cannot decode: what it says cannot be heard")
    spoken = task("speech").style(lm.vocab).spoken
    if len(spoken) != 2:
        raise FormatError("the vocabulary has no markers around speech: its continuations have no end")
    frames, k = max(1, int(max_seconds * lm.tok.frame_rate)), len(lm.vocab.unit_sizes)
    events = generate(
        lm.model,
        lm.text_tokenizer,
        lm.vocab,
        lm.ids(prompt),
        roles=(spoken[0], spoken[1]),
        max_frames=prompt.codes.shape[1] + frames,
        max_new_tokens=(frames + 1) * k + 1,
        stop_after_audio=True,
        **options,
    )
    pieces = [event.codes for event in events if isinstance(event, AudioPiece)]
    codes = torch.cat(pieces, 1) if pieces else torch.zeros(k, 0, dtype=torch.int64)
    if not codes.shape[1]:
        raise CodectokError("the model said nothing more")
    new = lm.tok.tokens(codes, int(codes.shape[1] * lm.tok.sample_rate / lm.tok.frame_rate))
    return lm.tok.decode(Tokens.cat([prompt, new]))[prompt.num_samples :]

"""How likely a model finds speech: the log probability of each of its audio tokens, after all that stands before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.sequence.segments import Audio, Marker, Prompter, Segment
from codectok.llm.sequence.task_table import task
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.tokenizer import Tokenizer
from codectok.tokens import Tokens


@torch.inference_mode()
def log_probs(model: Any, ids: Tensor) -> Tensor:
    """Log probability, in nats, of each id [L] after those before it, float32 [L]; 0 for the first.

    Under the whole vocabulary: probability that goes to text or to padded rows is lost.
    """
    at = ids.to(next(model.parameters()).device)
    logits = model(input_ids=at[None], use_cache=False).logits[0, :-1].float()
    found = logits.log_softmax(-1).gather(-1, at[1:, None])[:, 0].cpu()
    return torch.cat([torch.zeros(1), found])


@dataclass(frozen=True, eq=False)
class SpeechLM:
    """A model that was extended with the tokens of an audio tokenizer.

    Attributes:
        model: a causal language model of transformers.
        text_tokenizer: its tokenizer.
        vocab: its audio tokens.
        tok: their tokenizer.
    """

    model: Any
    text_tokenizer: Any
    vocab: AudioVocab
    tok: Tokenizer

    def encode(self, audio: Any) -> Tokens:
        """Tokens of an audio file, of the codebooks that the model has."""
        return self.tok.encode(audio, num_codebooks=len(self.vocab.unit_sizes))

    def ids(self, *pieces: Tokens) -> Tensor:
        """A sequence that begins as a model's speech does: beginning of sequence, start marker, audio ids."""
        begin = task("speech").style(self.vocab).spoken[:1]
        segments: list[Segment] = [*map(Marker, begin), *map(Audio, pieces)]
        prompter = Prompter(self.text_tokenizer, self.vocab)
        return prompter.encode(segments, bos=self.text_tokenizer.bos_token_id is not None).ids

    def of_speech(self, tokens: Tokens, context: Tokens | None = None) -> Tensor:
        """Log probability of every audio id of an utterance, [N], frame after frame; perhaps after some ``context``.

        Raises:
            FormatError: no frames, or more than the model has positions for.
        """
        before = () if context is None else (context,)
        if not tokens.codes.shape[1]:
            raise FormatError("no frames: nothing to score")
        ids = self.ids(*before, tokens)
        if (limit := self._positions()) and len(ids) > limit:
            raise FormatError(f"{len(ids)} ids are more than the model's {limit} positions: give shorter audio")
        return log_probs(self.model, ids)[len(self.ids(*before)) :]

    def windows(self, tokens: Tokens) -> Iterator[Tokens]:
        """An utterance in pieces that fit the model, whatever ids its frames are merged to."""
        frames = tokens.codes.shape[1]
        limit = self._positions()
        size = frames if limit is None else max(1, (limit - len(self.ids())) // len(self.vocab.unit_sizes))
        yield from (tokens[start : start + size] for start in range(0, frames, max(size, 1)))

    def _positions(self) -> int | None:
        config = self.model.config
        return getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)

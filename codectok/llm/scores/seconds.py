"""Perplexity by seconds: tokenizers of other rates say other numbers of tokens, and all say one second in a second."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from codectok.llm.scores.likelihood import SpeechLM
from codectok.tokens import Tokens

HORIZON = 60
"""Seconds of an utterance that are told one by one."""


@dataclass(frozen=True)
class SecondsScore:
    """Of one utterance, or of several together.

    Attributes:
        nats: minus the log probability of all audio tokens.
        tokens: of the audio.
        seconds: of the audio.
        by_second: nats of the first second, the second, ..., where ids are of frames and not merged; and
        heard: how much of each there was, in s.
    """

    nats: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    by_second: tuple[float, ...] = ()
    heard: tuple[float, ...] = ()

    @property
    def bits_per_second(self) -> float:
        """What a second costs: compares tokenizers of any rate (a coarse one says less, and it costs less)."""
        return self.nats / math.log(2) / self.seconds

    @property
    def perplexity(self) -> float:
        """Of a token: compares models of one tokenizer."""
        return math.exp(min(self.nats / self.tokens, 700.0))

    def __add__(self, other: SecondsScore) -> SecondsScore:
        """Both together."""
        return SecondsScore(
            self.nats + other.nats,
            self.tokens + other.tokens,
            self.seconds + other.seconds,
            _sum(self.by_second, other.by_second),
            _sum(self.heard, other.heard),
        )


def score_seconds(lm: SpeechLM, tokens: Tokens) -> SecondsScore:
    """Of one utterance; one that is longer than the model's positions in pieces that do not know each other.

    Raises:
        FormatError: no frames.
    """
    pieces = [lm.of_speech(piece).double().numpy() for piece in lm.windows(tokens)] or [lm.of_speech(tokens).numpy()]
    nats = -np.concatenate(pieces)
    frames, rate = tokens.codes.shape[1], float(tokens.frame_rate)
    whole = SecondsScore(float(nats.sum()), len(nats), frames / rate)
    if lm.vocab.transform is not None:
        return whole
    second = np.minimum((np.arange(frames) / rate).astype(int), HORIZON)
    by = np.bincount(second, nats.reshape(frames, -1).sum(1))[:HORIZON]
    heard = np.bincount(second)[:HORIZON] / rate
    return replace(whole, by_second=tuple(by.tolist()), heard=tuple(heard.tolist()))


def _sum(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    size = max(len(a), len(b))
    padded = [[*x, *([0.0] * (size - len(x)))] for x in (a, b)]
    return tuple(x + y for x, y in zip(*padded, strict=True))

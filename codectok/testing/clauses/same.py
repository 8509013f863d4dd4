"""What the clauses share: clips, and when two sequences of codes count as the same."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from codectok.abilities import ExplainsCodes
from codectok.testing.voice import voice
from codectok.tokenizer import Tokenizer

TIE = 1e-4
"""Relative gap of two distances under which either code is right: sums of floats change with the shapes of tensors."""


class NotApplicable(Exception):
    """The clause does not apply to this tokenizer; the message says why.

    Examples:
        >>> from codectok.controls import PcmTokenizer
        >>> from codectok.testing import CLAUSES
        >>> class Offline(PcmTokenizer):
        ...     causal = False
        >>> CLAUSES["stream"](Offline())
        Traceback (most recent call last):
        codectok.testing.clauses.same.NotApplicable: not causal
    """


def clip(tok: Tokenizer, seconds: float, seed: int = 0) -> np.ndarray:
    """Audio of about that length, at least one sample, at the tokenizer's rate."""
    return voice(max(1, round(seconds * tok.sample_rate)), tok.sample_rate, seed)


def hop(tok: Tokenizer) -> int:
    """Samples from one frame to the next, rounded up."""
    return math.ceil(tok.sample_rate / tok.frame_rate)


def assert_same_codes(tok: Tokenizer, got: Tensor, expected: Tensor, features: Tensor | None) -> None:
    """Codes [K, T] are equal, or the first differing level of each differing frame is a shown tie.

    Args:
        tok: whose codes they are; only one that :class:`~codectok.abilities.ExplainsCodes` can show a tie.
        got: int64 [K, T].
        expected: int64 [K, T].
        features: float32 [T, D] that they quantize; None where no tie is allowed.
    """
    assert got.shape == expected.shape, f"codes of shape {list(got.shape)}, expected {list(expected.shape)}"
    differing = (got != expected).any(0).nonzero().flatten().tolist()
    if not differing:
        return
    found = f"codes differ at frames {differing[:5]} of {got.shape[1]}"
    assert features is not None, found
    assert isinstance(tok, ExplainsCodes), found
    for t in differing:
        level = int((got[:, t] != expected[:, t]).nonzero()[0])
        distances = tok.code_distances(features[t], expected[:, t], level)
        a, b = float(distances[got[level, t]]), float(distances[expected[level, t]])
        gap = abs(a - b) / max(abs(a), abs(b), 1e-12)
        assert gap < TIE, f"frame {t} level {level}: {got[level, t]} is not {expected[level, t]}, gap {gap:.2g}"


def assert_same_audio(got: np.ndarray, expected: np.ndarray) -> None:
    """Audio [S] equal within 1e-5 of the louder of full scale and the clip's peak."""
    assert got.shape == expected.shape, f"audio of {got.shape} samples, expected {expected.shape}"
    gap = float(np.abs(got - expected).max(initial=0.0))
    assert gap <= 1e-5 * max(1.0, float(np.abs(expected).max(initial=0.0))), f"samples differ by up to {gap:.2g}"

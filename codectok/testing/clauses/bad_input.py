"""Clause 7: bad input is an error with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from codectok.errors import AudioError, CodectokError, CodeRangeError, FingerprintError
from codectok.testing.clauses.same import clip
from codectok.tokenizer import Tokenizer
from codectok.tokens import Tokens


def bad_input(tok: Tokenizer) -> None:
    """Each of these is refused by the error of its kind, in one line."""
    rate = tok.sample_rate
    good = clip(tok, 0.3)
    nan = good.copy()
    nan[7] = np.nan
    tokens = tok.encode(good, rate)
    foreign = Tokens(tokens.codes, tokens.num_samples, rate, tok.frame_rate, tokens.codebook_sizes, "f" * 32)
    top = len(tok.codebook_sizes)
    refused(AudioError, lambda: tok.encode(np.zeros(0, np.float32), rate))
    refused(AudioError, lambda: tok.encode(nan, rate))
    refused(AudioError, lambda: tok.encode(good * np.inf, rate))
    refused(AudioError, lambda: tok.encode(good))
    refused(AudioError, lambda: tok.encode(good, 0))
    refused(AudioError, lambda: tok.encode("no/such/file.wav"))
    refused(AudioError, lambda: tok.encode_batch([good, nan], rate))
    refused(AudioError, lambda: tok.features(nan, rate))
    refused(CodeRangeError, lambda: tok.encode(good, rate, num_codebooks=0))
    refused(CodeRangeError, lambda: tok.encode(good, rate, num_codebooks=top + 1))
    refused(CodeRangeError, lambda: tok.encode(good, rate, bitrate=1e-3))
    refused(CodeRangeError, lambda: tok.tokens(torch.full((1, 3), tok.codebook_sizes[0]), 100))
    refused(CodeRangeError, lambda: tok.tokens(torch.full((1, 3), -1), 100))
    if tok.can_decode:
        refused(FingerprintError, lambda: tok.decode(foreign))
    else:
        refused(CodectokError, lambda: tok.decode(tokens))


def refused(kind: type[CodectokError], call: Callable[[], Any]) -> None:
    """The call raises an error of that kind, whose text is one line that is not empty."""
    text = None
    try:
        call()
    except kind as error:
        text = str(error)
    assert text is not None, f"bad input was taken where {kind.__name__} is due"
    assert text.strip(), f"{kind.__name__} without a text"
    assert "\n" not in text, f"an error of several lines: {text}"

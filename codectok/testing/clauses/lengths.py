"""Clause 4: exact lengths."""

from __future__ import annotations

import math

import numpy as np

from codectok.testing.clauses.same import hop
from codectok.testing.voice import voice
from codectok.tokenizer import Tokenizer


def exact_lengths(tok: Tokenizer) -> None:
    """Frame counts follow the formula, and decoding gives num_samples samples, from one sample up."""
    for n in [1, 2, hop(tok) - 1, hop(tok), hop(tok) + 1, 3 * hop(tok) + 5, tok.sample_rate // 2 + 1]:
        n = max(1, n)
        audio = voice(n, tok.sample_rate)
        tokens = tok.encode(audio, tok.sample_rate)
        assert tokens.num_samples == n
        assert tokens.num_frames == tok.num_frames(n), f"{n} samples gave {tokens.num_frames} frames"
        assert tok.features(audio, tok.sample_rate).shape == (tokens.num_frames, tok.feature_dim)
        if tok.can_decode:
            wave = tok.decode(tokens)
            assert wave.shape == (n,), f"{n} samples came back as {wave.shape}"
            assert wave.dtype == np.float32
            assert np.isfinite(wave).all()
    other = 11025
    tokens = tok.encode(voice(1001, other), other)
    assert tokens.num_samples == math.ceil(1001 * tok.sample_rate / other)

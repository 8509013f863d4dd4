"""Clause 5: prefix."""

from __future__ import annotations

from codectok.testing.clauses.same import assert_same_codes, clip
from codectok.tokenizer import Tokenizer


def prefix(tok: Tokenizer) -> None:
    """Encoding with k codebooks gives the first k rows of encoding with all."""
    audio = clip(tok, 1.3)
    full = tok.encode(audio, tok.sample_rate)
    features = tok.features(audio, tok.sample_rate)
    top = len(tok.codebook_sizes)
    for k in sorted({1, 2, top // 2, top} & set(range(1, top + 1))):
        part = tok.encode(audio, tok.sample_rate, num_codebooks=k)
        assert part.codebook_sizes == full.codebook_sizes[:k]
        assert_same_codes(tok, part.codes, full.codes[:k], features)
        if tok.can_decode:
            assert tok.decode(part).shape == audio.shape

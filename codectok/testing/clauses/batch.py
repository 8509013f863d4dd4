"""Clause 1: batch = single."""

from __future__ import annotations

import torch

from codectok.testing.clauses.same import assert_same_audio, assert_same_codes, hop
from codectok.testing.voice import voice
from codectok.tokenizer import Tokenizer


def batch_equals_single(tok: Tokenizer) -> None:
    """Codes, features and audio of an utterance do not depend on its neighbours in a batch."""
    lengths = [1, hop(tok), hop(tok) * 3 + 1, hop(tok) * 20 - 1, tok.sample_rate + 17, tok.sample_rate + 17]
    clips = [voice(n, tok.sample_rate, seed=i) * (1.0 if i % 2 else 0.05) for i, n in enumerate(lengths)]
    alone = [tok.encode(c, tok.sample_rate) for c in clips]
    together = tok.encode_batch(clips, tok.sample_rate)
    features = tok.features_batch(clips, tok.sample_rate)
    for c, one, many, feats in zip(clips, alone, together, features, strict=True):
        single = tok.features(c, tok.sample_rate)
        assert_same_codes(tok, many.codes, one.codes, single)
        assert feats.shape == single.shape
        assert torch.allclose(feats, single, rtol=1e-4, atol=1e-4 * float(single.abs().max()) + 1e-7)
        assert feats.shape[0] == one.num_frames
        # What a probe is trained on must be usable by autograd.
        table = torch.nn.Embedding(max(tok.codebook_sizes), 2)
        (table(one.codes).sum() + torch.nn.Linear(tok.feature_dim, 1)(feats).sum()).backward()
    if tok.can_decode:
        for wave, tokens in zip(tok.decode_batch(alone), alone, strict=True):
            assert_same_audio(wave, tok.decode(tokens))

"""Clause 2: stream = offline."""

from __future__ import annotations

import numpy as np
import torch

from codectok.testing.clauses.same import NotApplicable, assert_same_audio, assert_same_codes, clip, hop
from codectok.tokenizer import Tokenizer


def stream_equals_offline(tok: Tokenizer) -> None:
    """Any split of the audio, 1-sample chunks included, gives the same codes and (float32) the same samples."""
    if not tok.causal:
        raise NotApplicable("not causal")
    rng = np.random.default_rng(0)
    for case, seconds in enumerate([2.03, 0.6, 3.4 / float(tok.frame_rate), 1 / tok.sample_rate]):
        audio = clip(tok, seconds, seed=case)
        ones = [1] * min(len(audio), 50)
        random_cuts = ones + rng.integers(0, 3 * hop(tok) + 2, 400).tolist()
        for sizes in ([len(audio)], random_cuts, [hop(tok)] * 400):
            _check_split(tok, audio, sizes)


def _check_split(tok: Tokenizer, audio: np.ndarray, sizes: list[int]) -> None:
    """Push pieces of these sizes, then what is left, and compare with the whole."""
    encoder, decoder = tok.stream_encoder(), tok.stream_decoder() if tok.can_decode else None
    at, seen, pieces, samples = 0, 0, [], []
    for size in [*sizes, len(audio)]:
        piece = encoder.push(audio[at : at + size])
        at = min(len(audio), at + size)
        seen += piece.num_samples
        pieces.append(piece.codes)
        if decoder is not None:
            samples.append(decoder.push(piece))
    last = encoder.flush()
    assert seen + last.num_samples == len(audio)
    codes = torch.cat([*pieces, last.codes], 1)
    offline, features = tok.encode(audio, tok.sample_rate), tok.features(audio, tok.sample_rate)
    assert_same_codes(tok, codes, offline.codes, features)
    if decoder is not None:
        samples += [decoder.push(last), decoder.flush(len(audio))]
        whole = tok.decode(tok.tokens(codes, len(audio)))
        assert_same_audio(np.concatenate(samples)[: len(audio)], whole)

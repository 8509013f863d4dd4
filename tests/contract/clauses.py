"""The seven clauses of the contract, each a function that raises AssertionError where a tokenizer breaks it."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from codectok import AudioError, CodectokError, CodeRangeError, FingerprintError, Tokenizer, Tokens
from codectok.units.tokenizer import UnitTokenizer
from tests.contract.subjects import voice


class NotApplicable(Exception):
    """The clause does not apply to this tokenizer; the message says why."""


def assert_same_codes(tok: Tokenizer, got: Tensor, expected: Tensor, features: Tensor | None) -> None:
    """Equal, or the first differing level of each differing frame is a shown tie (gap of distances under 1e-4)."""
    assert got.shape == expected.shape, f"codes of shape {list(got.shape)}, expected {list(expected.shape)}"
    differing = (got != expected).any(0).nonzero().flatten().tolist()
    if not differing:
        return
    quantizer = getattr(getattr(tok, "model", None), "quantizer", None)
    assert quantizer is not None, f"codes differ at frames {differing[:5]} of {got.shape[1]}"
    assert features is not None
    for t in differing:
        level = int((got[:, t] != expected[:, t]).nonzero()[0])
        distances = quantizer.distances(features[t], expected[:, t], level)
        a, b = float(distances[got[level, t]]), float(distances[expected[level, t]])
        gap = abs(a - b) / max(abs(a), abs(b), 1e-12)
        assert gap < 1e-4, f"frame {t} level {level}: {got[level, t]} is not {expected[level, t]}, gap {gap:.2g}"


def clip(tok: Tokenizer, seconds: float, seed: int = 0) -> np.ndarray:
    return voice(max(1, round(seconds * tok.sample_rate)), tok.sample_rate, seed)


def hop(tok: Tokenizer) -> int:
    return math.ceil(tok.sample_rate / tok.frame_rate)


def batch_equals_single(tok: Tokenizer) -> None:
    """1. Codes, features and audio of an utterance do not depend on its neighbours in a batch."""
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
        for one, many in zip([tok.decode(t) for t in alone], tok.decode_batch(alone), strict=True):
            assert one.shape == many.shape
            assert np.abs(one - many).max() <= 1e-5 * max(1.0, float(np.abs(one).max()))


def stream_equals_offline(tok: Tokenizer) -> None:
    """2. Any split of the audio, 1-sample chunks included, gives the same codes and (float32) the same samples."""
    if not tok.causal:
        raise NotApplicable("not causal")
    rng = np.random.default_rng(0)
    for case, seconds in enumerate([2.03, 0.6, 3.4 / float(tok.frame_rate), 1 / tok.sample_rate]):
        audio = clip(tok, seconds, seed=case)
        offline = tok.encode(audio, tok.sample_rate)
        features = tok.features(audio, tok.sample_rate)
        ones = [1] * min(len(audio), 50)
        random_cuts = ones + rng.integers(0, 3 * hop(tok) + 2, 400).tolist()
        for sizes in ([len(audio)], random_cuts, [hop(tok)] * 400):
            encoder, decoder = tok.stream_encoder(), tok.stream_decoder() if tok.can_decode else None
            at, codes, samples, seen = 0, [], [], 0
            for size in [*sizes, len(audio)]:
                piece = encoder.push(audio[at : at + size])
                at = min(len(audio), at + size)
                seen += piece.num_samples
                codes.append(piece)
                if decoder is not None:
                    samples.append(decoder.push(piece))
            codes.append(encoder.flush())
            assert seen + codes[-1].num_samples == len(audio)
            assert_same_codes(tok, torch.cat([c.codes for c in codes], 1), offline.codes, features)
            if decoder is not None:
                samples += [decoder.push(codes[-1])]
                samples += [decoder.flush(len(audio))]
                joined = torch.cat([c.codes for c in codes], 1)
                whole = tok.decode(tok.tokens(joined, len(audio)))
                streamed = np.concatenate(samples)[: len(audio)]
                assert streamed.shape == whole.shape
                assert np.abs(streamed - whole).max() <= 1e-5 * max(1.0, float(np.abs(whole).max()))


def long_equals_short(tok: Tokenizer) -> None:
    """3. The codes do not depend on the block that long audio is worked in."""
    if isinstance(tok, UnitTokenizer):
        windows_are_all_that_is_seen(tok)
        return
    if not hasattr(tok, "block_frames"):
        audio = clip(tok, 5.0)
        codes = tok.encode(audio, tok.sample_rate).codes
        cut = len(audio) // 2 // hop(tok) * hop(tok)
        first = tok.encode(audio[:cut], tok.sample_rate).codes
        assert torch.equal(codes[:, : first.shape[1] - 1], first[:, :-1])
        return
    audio = clip(tok, 7.3)
    block = tok.block_frames
    results = []
    try:
        for frames in (block, max(tok.model.first_frames, 9), 100_000):
            tok.block_frames = frames
            results.append((tok.encode(audio, tok.sample_rate).codes, tok.features(audio, tok.sample_rate)))
    finally:
        tok.block_frames = block
    for codes, _ in results[1:]:
        assert_same_codes(tok, codes, results[0][0], results[0][1])


def windows_are_all_that_is_seen(tok: UnitTokenizer) -> None:
    """3, with windows: no frame sees beyond its own window, and a file gives the codes of its samples."""
    window = math.ceil(tok.encoder.window_frames / tok.frame_rate)
    audio = clip(tok, 3.0 * window)
    codes, end = tok.encode(audio, tok.sample_rate).codes, int(window * tok.frame_rate)
    # Turned about in its last third: mean and variance, which an encoder may normalise by, stay the same.
    turned = np.concatenate([audio[: 2 * len(audio) // 3], audio[2 * len(audio) // 3 :][::-1]])
    other = tok.encode(turned, tok.sample_rate).codes
    untouched = codes.shape[1] - end - tok.encoder.window_frames - 2
    assert_same_codes(tok, other[:, :untouched], codes[:, :untouched], None)
    assert (other[:, -end:] != codes[:, -end:]).any(1).all()
    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(f"{folder}/a.wav", audio, tok.sample_rate, subtype="FLOAT")
        assert_same_codes(tok, tok.encode(f"{folder}/a.wav").codes, codes, None)


def exact_lengths(tok: Tokenizer) -> None:
    """4. Frame counts follow the formula, and decoding gives num_samples samples, from one sample up."""
    for n in [1, 2, hop(tok) - 1, hop(tok), hop(tok) + 1, 3 * hop(tok) + 5, tok.sample_rate // 2 + 1]:
        n = max(1, n)
        tokens = tok.encode(voice(n, tok.sample_rate), tok.sample_rate)
        assert tokens.num_samples == n
        assert tokens.num_frames == tok.num_frames(n), f"{n} samples gave {tokens.num_frames} frames"
        assert tok.features(voice(n, tok.sample_rate), tok.sample_rate).shape == (tokens.num_frames, tok.feature_dim)
        if tok.can_decode:
            wave = tok.decode(tokens)
            assert wave.shape == (n,), f"{n} samples came back as {wave.shape}"
            assert wave.dtype == np.float32
            assert np.isfinite(wave).all()
    other = 11025
    tokens = tok.encode(voice(1001, other), other)
    assert tokens.num_samples == math.ceil(1001 * tok.sample_rate / other)


def prefix(tok: Tokenizer) -> None:
    """5. Encoding with k codebooks gives the first k rows of encoding with all."""
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


def digest(tok: Tokenizer) -> str:
    """Hash of the codes and the decoded audio of one clip."""
    tokens = tok.encode(clip(tok, 1.1), tok.sample_rate)
    h = hashlib.sha256(tokens.codes.numpy().tobytes())
    if tok.can_decode:
        h.update(tok.decode(tokens).tobytes())
    return h.hexdigest()


def deterministic(tok: Tokenizer) -> None:
    """6. The same input gives the same bytes (tests/contract/test_contract.py asks another process too)."""
    first = digest(tok)
    torch.manual_seed(1234)
    np.random.seed(1234)  # noqa: NPY002 - the global state is what must not matter
    assert digest(tok) == first


def bad_input(tok: Tokenizer) -> None:
    """7. Bad input is an error that says what to do."""
    rate = tok.sample_rate
    good = clip(tok, 0.3)
    nan = good.copy()
    nan[7] = np.nan
    cases: list[tuple[type[CodectokError], Callable[[], Any]]] = [
        (AudioError, lambda: tok.encode(np.zeros(0, np.float32), rate)),
        (AudioError, lambda: tok.encode(nan, rate)),
        (AudioError, lambda: tok.encode(good * np.inf, rate)),
        (AudioError, lambda: tok.encode(good)),
        (AudioError, lambda: tok.encode(good, 0)),
        (AudioError, lambda: tok.encode("no/such/file.wav")),
        (AudioError, lambda: tok.encode_batch([good, nan], rate)),
        (AudioError, lambda: tok.features(nan, rate)),
        (CodeRangeError, lambda: tok.encode(good, rate, num_codebooks=0)),
        (CodeRangeError, lambda: tok.encode(good, rate, num_codebooks=len(tok.codebook_sizes) + 1)),
        (CodeRangeError, lambda: tok.encode(good, rate, bitrate=1e-3)),
        (CodeRangeError, lambda: tok.tokens(torch.full((1, 3), tok.codebook_sizes[0]), 100)),
        (CodeRangeError, lambda: tok.tokens(torch.full((1, 3), -1), 100)),
    ]
    tokens = tok.encode(good, rate)
    foreign = Tokens(tokens.codes, tokens.num_samples, rate, tok.frame_rate, tokens.codebook_sizes, "f" * 32)
    if tok.can_decode:
        cases.append((FingerprintError, lambda: tok.decode(foreign)))
    else:
        cases.append((CodectokError, lambda: tok.decode(tokens)))
    for kind, call in cases:
        with pytest.raises(kind) as caught:
            call()
        text = str(caught.value)
        assert text
        assert "\n" not in text


CLAUSES: dict[str, Callable[[Tokenizer], None]] = {
    "batch": batch_equals_single,
    "stream": stream_equals_offline,
    "long": long_equals_short,
    "lengths": exact_lengths,
    "prefix": prefix,
    "determinism": deterministic,
    "bad input": bad_input,
}

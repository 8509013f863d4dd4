"""The three arms on one tokenizer: the same frames, one width, and quantized between the other two."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import codectok
from codectok import CodectokError, FingerprintError
from codectok.llm import AudioVocab
from codectok.llm.continuous import AudioSource, SpeechLLM, build_projector
from codectok.llm.patterns import Flatten, parallel
from codectok.testing import voice
from codectok.units.encoders.loading import load_encoder
from codectok.units.kmeans.tokenizer import UnitTokenizer
from codectok.units.kmeans.unit_stream import UnitStream
from tests.llm.tiny_models import WIDTH, Codes, model


@pytest.fixture(scope="module")
def speech() -> Any:
    return codectok.load("speech")


@pytest.fixture(scope="module")
def clip(speech: Any) -> np.ndarray:
    return voice(speech.sample_rate, speech.sample_rate, 3)


def test_quantized_comes_closer_with_every_slice_of_codebooks(speech: Any, clip: np.ndarray) -> None:
    features = speech.features(clip, speech.sample_rate)
    errors = []
    for count in (1, 2, 5, 9, 18, 24):
        tokens = speech.encode(clip, speech.sample_rate, num_codebooks=count)
        quantized = speech.quantized_features(tokens)
        assert quantized.shape == features.shape == (tokens.num_frames, speech.feature_dim)
        assert quantized.dtype == torch.float32
        errors.append(float((quantized - features).norm() / features.norm()))
    assert all(b < a for a, b in pairwise(errors)), errors
    assert errors[-1] < 0.8 * errors[0], errors


def test_quantized_features_are_what_the_decoder_reads(speech: Any, clip: np.ndarray) -> None:
    tokens = speech.encode(clip, speech.sample_rate)
    seen: list[torch.Tensor] = []
    step = speech.model.decode_step
    speech.model.decode_step = lambda z, *rest: (seen.append(z[0]), step(z, *rest))[1]
    try:
        speech.decode(tokens)
    finally:
        del speech.model.decode_step
    assert torch.allclose(torch.cat(seen), speech.quantized_features(tokens), atol=1e-6)
    total = sum(speech.code_vectors(k)[tokens.codes[k]] for k in range(len(tokens.codes)))
    assert torch.allclose(total, speech.quantized_features(tokens), atol=1e-3)


def test_arms_have_the_same_steps(speech: Any, clip: np.ndarray) -> None:
    """Where promised: one id a frame (one codebook, or parallel streams) against a projector of one token a frame."""
    count = 3
    vocab = AudioVocab.create(speech.codebook_sizes[:count], 50, tokenizer_fingerprint=speech.fingerprint)
    arms = {kind: AudioSource(speech, kind, count, vocab) for kind in ("continuous", "quantized", "discrete")}
    got = {kind: source(clip, speech.sample_rate) for kind, source in arms.items()}
    frames = speech.num_frames(len(clip))
    assert {source.num_frames(len(clip)) for source in arms.values()} == {frames}
    assert got["continuous"].shape == got["quantized"].shape == (frames, arms["quantized"].dim)
    assert got["discrete"].shape == (count, frames)
    assert torch.equal(vocab.codes(got["discrete"]), speech.encode(clip, speech.sample_rate, num_codebooks=count).codes)
    same = [build_projector(name, speech.feature_dim, 4, **o).out_length(frames)
            for name, o in (("linear", {}), ("mlp", {}), ("average-pool", {"ratio": 1}))]  # fmt: skip
    assert set(same) == {parallel(count).length(frames, count), Flatten().length(frames, 1), frames}
    assert Flatten().length(frames, count) == count * frames  # not promised: the discrete arm is longer


def test_both_feature_arms_go_through_one_model(speech: Any, clip: np.ndarray) -> None:
    made = SpeechLLM(model("llama", 30, tied=True), build_projector("linear", speech.feature_dim, WIDTH), 99)
    losses = []
    for kind in ("continuous", "quantized"):
        features = AudioSource(speech, kind, 2)(clip, speech.sample_rate)[None]
        ids = made.prompt([1, 99, 5], made.counts(features))[None]
        loss = made(ids, features, labels=ids).loss
        loss.backward()
        losses.append(loss.item())
    assert losses[0] != losses[1]


def test_from_stored_tokens(speech: Any, clip: np.ndarray) -> None:
    tokens = speech.encode(clip, speech.sample_rate)
    source = AudioSource(speech, "quantized", 2)
    assert torch.equal(source.of_tokens(tokens), source(clip, speech.sample_rate))
    with pytest.raises(CodectokError, match="give the audio"):
        AudioSource(speech, "continuous").of_tokens(tokens)
    with pytest.raises(CodectokError, match="2 codebooks, this source uses 24"):
        AudioSource(speech, "quantized").of_tokens(speech.encode(clip, speech.sample_rate, num_codebooks=2))
    with pytest.raises(FingerprintError):
        source.of_tokens(replace(tokens, fingerprint="another"))


def unit_tokenizer(streams: list[tuple[int, int]]) -> UnitTokenizer:
    """Streams (layer_index, levels) over log-mel frames, "two layers" of 40 of its 80 dimensions."""
    encoder = load_encoder("logmel", 0, "cpu")
    encoder.layers, encoder.layer_dim = (0, 1), encoder.dim // 2
    features = encoder.features_batch([voice(32000, 16000, 1)])[0]
    made = []
    for layer, levels in streams:
        part = features[:, layer * encoder.layer_dim : (layer + 1) * encoder.layer_dim]
        made.append(UnitStream(layer, [part[::9], *[0.3 * torch.randn(8, part.shape[1])] * (levels - 1)]))
    return UnitTokenizer(encoder, made, "mel-units")


def test_units_streams_lie_at_their_layers() -> None:
    tok = unit_tokenizer([(1, 2), (0, 1)])
    tokens = tok.encode(voice(16000, 16000, 5), 16000)
    quantized = tok.quantized_features(tokens)
    half = tok.feature_dim // 2
    assert quantized.shape == (tokens.num_frames, tok.feature_dim)
    assert torch.equal(quantized[:, half:], tok.streams[0].vectors(tokens.codes[:2]))
    assert torch.equal(quantized[:, :half], tok.streams[1].vectors(tokens.codes[2:]))
    assert torch.equal(quantized, tok.quantized_features(tokens.dedup()))
    first = tok.quantized_features(tok.encode(voice(16000, 16000, 5), 16000, num_codebooks=1))
    assert torch.equal(first[:, half:], tok.streams[0].vectors(tokens.codes[:1]))
    assert not first[:, :half].any()


def test_units_streams_of_one_layer_are_averaged() -> None:
    tok = unit_tokenizer([(0, 1), (0, 1)])
    tok.streams[1].centroids[0] += 2.0
    tok.streams[1] = UnitStream(0, tok.streams[1].centroids)
    tokens = tok.encode(voice(8000, 16000, 5), 16000)
    a, b = (s.vectors(tokens.codes[i : i + 1]) for i, s in enumerate(tok.streams))
    assert torch.allclose(tok.quantized_features(tokens)[:, : tok.feature_dim // 2], (a + b) / 2)


def test_what_does_not_fit_is_said(speech: Any) -> None:
    with pytest.raises(CodectokError, match="continuous, quantized, discrete"):
        AudioSource(speech, "soft")
    with pytest.raises(CodectokError, match="give vocab"):
        AudioSource(speech, "discrete")
    with pytest.raises(CodectokError, match="choose num_codebooks"):
        AudioSource(speech, "discrete", 2, AudioVocab.create((1024,), 50))
    with pytest.raises(CodectokError, match="no width"):
        _ = AudioSource(speech, "discrete", 1, AudioVocab.create((1024,), 50)).dim
    plain = Codes()
    with pytest.raises(CodectokError, match="no quantized features"):
        plain.quantized_features(plain.tokens(torch.zeros(2, 3, dtype=torch.int64), 960))

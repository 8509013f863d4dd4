"""Decoding of features that nothing quantized: equal to decode for what codes say, of the right length, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codectok import AudioError, CodectokError
from codectok.testing import voice
from tests.contract.subjects import SUBJECTS

MAKE = {s.name: s.make for s in SUBJECTS}
CODECS = (
    "speech-1",
    "speech-2",
    "units",
    "harmonic-shaped",
    "envelope-shaped",
    "encodec-shaped",
    "mimi-shaped",
    "dac-shaped",
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("samples", [1, 3001, 30011])
def test_quantized_features_decode_to_what_the_codes_do(name, samples):
    tokenizer = MAKE[name]()
    for k in (1, len(tokenizer.codebook_sizes)):
        tokens = tokenizer.encode(voice(samples, tokenizer.sample_rate), tokenizer.sample_rate, num_codebooks=k)
        wanted = tokenizer.decode(tokens)
        found = tokenizer.decode_features(tokenizer.quantized_features(tokens), tokens.num_samples)
        assert found.dtype == np.float32
        assert found.shape == (samples,)
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_features_themselves_decode_to_something_else_of_any_length():
    tokenizer = MAKE["encodec-shaped"]()
    samples = voice(20000, tokenizer.sample_rate)
    features = tokenizer.features(samples, tokenizer.sample_rate)
    whole = tokenizer.decode_features(features, 20000)
    assert np.abs(whole - tokenizer.decode(tokenizer.encode(samples, tokenizer.sample_rate))).max() > 1e-3
    np.testing.assert_array_equal(tokenizer.decode_features(features, 5000), whole[:5000])
    long = tokenizer.decode_features(features, 50000)
    assert long.shape == (50000,)
    assert not long[-1000:].any()
    assert tokenizer.decode_features(features[:0], 10).tolist() == [0.0] * 10


@pytest.mark.parametrize("name", ["hubert-base-units", "pcm", "random"])
def test_tokenizers_without_such_a_decoder_say_so(name):
    tokenizer = MAKE[name]()
    with pytest.raises(CodectokError, match=f"{tokenizer.name} cannot decode features"):
        tokenizer.decode_features(torch.zeros(5, tokenizer.feature_dim), 100)


def test_features_of_another_width_or_not_finite_are_refused():
    tokenizer = MAKE["dac-shaped"]()
    with pytest.raises(AudioError, match=r"features are \[5, 3\]"):
        tokenizer.decode_features(torch.zeros(5, 3), 100)
    with pytest.raises(AudioError, match="NaN"):
        tokenizer.decode_features(torch.full((5, tokenizer.feature_dim), torch.nan), 100)

"""What a user can get wrong with any tokenizer: an error of ours, and never one of torch's or numpy's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from codectok import CodectokError, CodeRangeError, FormatError, Tokens, load
from codectok.testing import voice
from codectok.tokenizer import Tokenizer

RATE = 16000
AUDIO = voice(4000, RATE)


@pytest.fixture(scope="module", params=["speech", "pcm"])
def tok(request: pytest.FixtureRequest) -> Tokenizer:
    return load(request.param)


def test_a_stream_without_audio_has_no_frames(tok: Tokenizer) -> None:
    encoder = tok.stream_encoder()
    assert encoder.push(AUDIO[:0]).codes.shape[1] == 0
    tokens = encoder.flush()
    assert (tokens.codes.shape[1], tokens.num_samples) == (0, 0)
    assert tok.decode(tokens).shape == (0,)


def test_a_flushed_decoder_is_at_its_end(tok: Tokenizer) -> None:
    tokens = tok.encode(AUDIO, RATE)
    decoder = tok.stream_decoder()
    decoder.push(tokens)
    decoder.flush()
    with pytest.raises(CodectokError, match="flushed"):
        decoder.push(tokens)
    with pytest.raises(CodectokError, match="flushed"):
        decoder.flush()


def test_tokens_short_of_frames_decode_to_their_length(tok: Tokenizer) -> None:
    tokens = tok.encode(AUDIO, RATE)
    for frames in (0, 2):
        assert tok.decode(replace(tokens, codes=tokens.codes[:, :frames])).shape == AUDIO.shape
    many = tok.decode_batch([replace(tokens, codes=tokens.codes[:, :0]), tokens])
    assert not many[0].any()
    assert np.array_equal(many[1], tok.decode(tokens))


def test_codebooks_that_the_tokenizer_does_not_have_are_refused(tok: Tokenizer) -> None:
    tokens = tok.encode(AUDIO, RATE)
    top = tokens.num_codebooks
    larger = replace(tokens, codes=torch.full_like(tokens.codes, 5000), codebook_sizes=(8000,) * top)
    more = replace(
        tokens, codes=tokens.codes[:1].expand(top + 1, -1) * 0, codebook_sizes=(tok.codebook_sizes[0],) * (top + 1)
    )
    for wrong in (larger, more):
        with pytest.raises(CodeRangeError, match=f"it has {top}"):
            tok.decode(wrong)
        with pytest.raises(CodeRangeError, match=f"it has {top}"):
            tok.stream_decoder().push(wrong)


def test_codes_alone_are_not_tokens(tok: Tokenizer) -> None:
    wrong: Any = tok.encode(AUDIO, RATE).codes
    with pytest.raises(CodectokError, match="is not Tokens"):
        tok.decode(wrong)


def test_tokens_of_negative_length_are_refused(tok: Tokenizer) -> None:
    with pytest.raises(FormatError, match="num_samples"):
        Tokens(torch.zeros(1, 1, dtype=torch.int64), -5, RATE, tok.frame_rate, (2,), "f")


@pytest.mark.parametrize("choice", [{"num_codebooks": 2.5}, {"num_codebooks": "3"}, {"bitrate": "1"}])
def test_a_choice_of_codebooks_that_is_no_number_is_refused(tok: Tokenizer, choice: dict[str, Any]) -> None:
    with pytest.raises(CodectokError, match=next(iter(choice))):
        tok.encode(AUDIO, RATE, **choice)


def test_a_batch_may_be_an_array_and_is_no_path(tok: Tokenizer) -> None:
    batch = np.stack([AUDIO, AUDIO / 2])
    assert tok.encode_batch(batch, RATE) == [tok.encode(x, RATE) for x in batch]
    assert len(tok.features_batch(batch, RATE)) == 2
    for wrong in ("a.wav", AUDIO):
        with pytest.raises(CodectokError):
            tok.encode_batch(wrong, RATE)


def test_loading_under_inference_mode() -> None:
    with torch.inference_mode():
        tok = load()
        inside = tok.encode(AUDIO, RATE)
    expected = load().encode(AUDIO, RATE)
    assert inside == expected == tok.encode(AUDIO, RATE)
    assert np.array_equal(tok.decode(inside), load().decode(inside))


def test_a_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CodectokError, match="nonsense"):
        load(device="nonsense")

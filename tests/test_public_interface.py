"""What programs outside lean on: audio of every form, tokens cut and joined, devices, abilities."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import codectok
from codectok import AudioError, CodectokError, FingerprintError, FormatError, Tokenizer, Tokens
from codectok.abilities import CanDecode, CanDecodeFeatures, HasCodeVectors
from codectok.testing import voice

AUDIO = voice(8000, 16000)


@pytest.fixture(scope="module")
def tok() -> Tokenizer:
    return codectok.load("random")


def test_int16_is_scaled(tok: Tokenizer) -> None:
    pcm = codectok.load("pcm")
    ints = np.round(AUDIO * 32768).astype(np.int16)
    expected = pcm.encode(ints.astype(np.float32) / 32768, 16000)
    for given_audio in (ints, torch.from_numpy(ints), ints[None], np.stack([ints, ints]), torch.from_numpy(ints)[None]):
        assert pcm.encode(given_audio, 16000) == expected


@pytest.mark.parametrize("kind", [np.int32, np.uint8, np.int64, bool])
def test_other_integers_are_refused(tok: Tokenizer, kind: type) -> None:
    with pytest.raises(AudioError, match="neither floating point nor int16"):
        tok.encode(np.ones(100, kind), 16000)


def test_a_rate_beside_a_path_is_refused(tok: Tokenizer, tmp_path: Path) -> None:
    codectok.write_audio(tmp_path / "a.wav", AUDIO, 16000)
    for call in (tok.encode, tok.features):
        with pytest.raises(AudioError, match=r"a\.wav has its own sample rate"):
            call(tmp_path / "a.wav", 8000)
    with pytest.raises(AudioError, match="has its own sample rate"):
        tok.encode_batch([tmp_path / "a.wav"], 8000)


def test_float_audio_at_the_scale_of_integers_is_refused(tok: Tokenizer, tmp_path: Path) -> None:
    import soundfile

    loud = AUDIO * 32768
    with pytest.raises(AudioError, match="scale of integers"):
        tok.encode(loud, 16000)
    soundfile.write(tmp_path / "a.wav", loud, 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match="scale of integers"):
        tok.encode(tmp_path / "a.wav")
    encoder = tok.stream_encoder()
    with pytest.raises(AudioError, match="scale of integers"):
        [encoder.push(chunk) for chunk in np.split(loud, 80)]
    short = tok.stream_encoder()
    short.push(loud[:200])
    with pytest.raises(AudioError, match="scale of integers"):
        short.flush()
    tok.encode(np.where(np.arange(8000) < 80, 5.0, AUDIO), 16000)  # 1 %: loud, but audio


@given(st.integers(1, 4000), st.lists(st.integers(0, 30), max_size=4), st.booleans())
def test_pieces_join_to_the_whole(samples: int, cuts: list[int], merged: bool) -> None:
    whole = codectok.load("random").encode(np.zeros(samples, np.float32), 16000, num_codebooks=2)
    whole = whole.dedup() if merged else whole
    edges = [0, *sorted(min(c, whole.num_frames) for c in cuts), whole.num_frames]
    pieces = [whole[a:b] for a, b in itertools.pairwise(edges)]
    assert Tokens.cat(pieces) == whole
    assert all(p.num_frames == b - a for p, a, b in zip(pieces, edges, edges[1:], strict=False))


def test_cut_tokens_stand_for_their_samples(tok: Tokenizer) -> None:
    tokens = tok.encode(AUDIO, 16000)
    assert tokens[2:5].num_samples == 3 * 640
    assert tokens[-1:].num_samples == 8000 - 12 * 640
    assert torch.equal(tokens[2:5].codes, tokens.codes[:, 2:5])
    assert (tokens.to_numpy() == tokens.codes.numpy()).all()
    assert len(repr(tokens)) < 100
    for bad in (slice(0, 4, 2), slice(None, None, -1)):
        with pytest.raises(FormatError, match="without a step"):
            tokens[bad]


def test_only_tokens_alike_are_joined(tok: Tokenizer) -> None:
    tokens = tok.encode(AUDIO, 16000, num_codebooks=2)
    with pytest.raises(FormatError, match="at least one"):
        Tokens.cat([])
    with pytest.raises(FormatError, match="make them alike"):
        Tokens.cat([tokens, tokens.first(1)])
    with pytest.raises(FormatError, match="make them alike"):
        Tokens.cat([tokens, tokens.dedup()])
    with pytest.raises(FingerprintError, match="use one for all"):
        Tokens.cat([tokens, codectok.load("pcm").encode(AUDIO, 16000)])


@pytest.mark.parametrize("name", ["speech", "units", "pcm", "random"])
def test_devices_and_names(name: str) -> None:
    tok = Tokenizer.from_pretrained(name)
    assert tok.device == torch.device("cpu")
    assert tok.to("cpu") is tok
    with pytest.raises(CodectokError, match="cannot be used"):
        tok.to("meta")


def test_abilities() -> None:
    speech, pcm, random = (codectok.load(n) for n in ("speech", "pcm", "random"))
    assert isinstance(speech, CanDecode)
    assert isinstance(speech, CanDecodeFeatures)
    assert isinstance(speech, HasCodeVectors)
    assert isinstance(pcm, CanDecode)
    assert not isinstance(pcm, HasCodeVectors)
    assert pcm.can_decode
    assert not random.can_decode
    assert not isinstance(random, CanDecode)
    for call in (lambda: random.decode_batch([]), random.stream_decoder):
        with pytest.raises(CodectokError, match="cannot decode"):
            call()
    with pytest.raises(CodectokError, match="no code vectors"):
        random.code_vectors(0)

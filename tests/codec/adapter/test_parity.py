"""``hf:`` gives what the family's own class gives for one clip without a batch, and keeps the contract beside."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import pad

from codectok.testing import check_tokenizer
from tests.codec.adapter.models import MODELS, clip, kinds
from tests.codec.adapter.oracles import own_audio, own_codes

KINDS = sorted(MODELS)
WITH_DECODER = [kind for kind in KINDS if kind != "wavtokenizer_encoder"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [0.01, 0.7, 1.0, 7.3, 40.0, 90.5])
def test_codes_are_the_familys_own(kind: str, frames: float, pair: Any) -> None:
    model, tok = pair(kind)
    rate, hop = tok.family.input_rate, tok.family.hop
    audio = clip(max(1, round(frames * hop)), rate, seed=int(frames))
    if kind == "neucodec" and audio.shape[-1] < hop:
        audio = pad(audio, (0, hop - audio.shape[-1]))  # of less it has no frame
    tokens = tok.encode(audio[0, 0], rate)
    assert torch.equal(tokens.codes, own_codes(kind, model, audio))
    if frames > 50:
        assert len({tuple(c.tolist()) for c in tokens.codes.T}) > 5, "codes that hardly change prove nothing"


@pytest.mark.parametrize("kind", WITH_DECODER)
def test_audio_is_the_familys_own(kind: str, pair: Any) -> None:
    model, tok = pair(kind)
    audio = clip(tok.sample_rate + 77, tok.sample_rate)[0, 0]
    tokens = tok.encode(audio, tok.sample_rate)
    expected = own_audio(kind, model, tokens.codes)[: len(audio)]
    got = torch.from_numpy(tok.decode(tokens))
    assert len(got) == len(audio)
    assert float(expected.std()) > 1e-3
    scale = max(1.0, float(expected.abs().max()))
    assert float((got[: len(expected)] - expected).abs().max()) < 1e-4 * scale
    assert not got[len(expected) :].any()


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_what_the_codes_say_approximately(kind: str, pair: Any) -> None:
    _, tok = pair(kind)
    audio = clip(tok.sample_rate, tok.sample_rate)[0, 0]
    tokens, features = tok.encode(audio, tok.sample_rate), tok.features(audio, tok.sample_rate)
    said = tok.quantized_features(tokens)
    assert said.shape == features.shape == (tokens.num_frames, tok.feature_dim)
    parts = sum(tok.code_vectors(k)[tokens.codes[k]] for k in range(tokens.num_codebooks))
    start = tok.quantized_features(tok.tokens(torch.zeros_like(tokens.codes), len(audio)))
    zero = sum(tok.code_vectors(k)[:1] for k in range(tokens.num_codebooks))
    torch.testing.assert_close(parts - zero, said - start, rtol=1e-3, atol=1e-4 * float(said.abs().max()))
    if kind not in WITH_DECODER:
        return
    torch.testing.assert_close(
        torch.from_numpy(tok.decode_features(said, len(audio))),
        torch.from_numpy(tok.decode(tokens)),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize("kind", kinds("dac", "encodec", "mimi", "xcodec", "wavtokenizer"))
def test_the_contract_holds(kind: str, pair: Any) -> None:
    outcomes = check_tokenizer(pair(kind).tok)
    assert [clause for clause, outcome in outcomes.items() if outcome.verdict == "n/a"] == ["stream"]

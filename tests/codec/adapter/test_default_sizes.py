"""Configs as transformers has them by default, not only small ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from codectok import FormatError
from codectok.codec.adapter.table import family_class
from codectok.codec.adapter.tokenizer import TransformersTokenizer
from tests.codec.adapter.models import clip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dac", "encodec", "mimi", "xcodec", "wavtokenizer"])
def test_a_default_config_runs(kind: str) -> None:
    chosen: Any = family_class(kind, kind)
    model_class = getattr(transformers, chosen.model_class)
    torch.manual_seed(0)
    tok = TransformersTokenizer(chosen(model_class.config_class(), model_class(model_class.config_class())), kind, "f")
    audio = clip(tok.sample_rate // 2 + 1, tok.sample_rate)[0, 0]
    tokens = tok.encode(audio, tok.sample_rate)
    assert tokens.num_frames == tok.num_frames(len(audio))
    assert tok.features(audio, tok.sample_rate).shape == (tokens.num_frames, tok.feature_dim)
    assert tok.decode(tokens).shape == audio.shape


def test_the_default_of_higgs_does_not_run_in_transformers_either() -> None:
    with pytest.raises(FormatError, match=r"320 samples at 16000 Hz.*320 at 24000 Hz"):
        family_class("higgs_audio_v2_tokenizer", "")(transformers.HiggsAudioV2TokenizerConfig())

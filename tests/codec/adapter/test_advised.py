"""What our own classes refuse with the advice to open it as ``hf:`` does run so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import codectok
from codectok import FormatError
from tests.codec.adapter.models import clip, saved
from tests.codec.adapter.oracles import own_codes


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("encodec", {"use_causal_conv": False}),
        ("encodec", {"norm_type": "time_group_norm"}),
        ("encodec", {"pad_mode": "replicate"}),
        ("encodec", {"trim_right_ratio": 0.5}),
        ("mimi", {"hidden_act": "relu"}),
        ("mimi", {"attention_bias": True}),
        ("mimi", {"num_key_value_heads": 2}),
        ("mimi", {"upsample_groups": 1}),
        ("mimi", {"head_dim": 16}),
        ("mimi", {"trim_right_ratio": 0.5}),
    ],
)
def test_it_runs_in_transformers_class(kind: str, change: dict[str, Any], tmp_path: Path) -> None:
    model = saved(kind, tmp_path / "model", **change)
    if change != {"pad_mode": "replicate"}:
        with pytest.raises(FormatError, match=f"{next(iter(change))}.*open it as hf:ID_OR_FOLDER"):
            codectok.load(tmp_path / "model")
    tok = codectok.load(f"hf:{tmp_path / 'model'}")
    audio = clip(20011, tok.sample_rate)
    tokens = tok.encode(audio[0, 0], tok.sample_rate)
    assert torch.equal(tokens.codes, own_codes(kind, model, audio))
    assert tokens.num_frames == tok.num_frames(20011)
    assert len(tok.decode(tokens)) == 20011


@pytest.mark.parametrize("change", [{"audio_channels": 2}, {"normalize": True}, {"chunk_length_s": 1.0}])
def test_loudness_beside_the_codes_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    transformers.EncodecConfig(**change).save_pretrained(tmp_path)
    transformers.EncodecModel(transformers.EncodecConfig(num_filters=4)).save_pretrained(tmp_path / "weights")
    (tmp_path / "weights/model.safetensors").rename(tmp_path / "model.safetensors")
    with pytest.raises(FormatError, match="loudness beside"):
        codectok.load(f"hf:{tmp_path}")

"""Encoders that are trained: the same features as those that are only run, and a gradient to what moves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import codectok
from codectok.errors import CodectokError
from codectok.units.encoders.features import EncoderFeatures
from tests.units.conftest import MAKERS, noise


@pytest.mark.parametrize("family", MAKERS)
@pytest.mark.parametrize("rank", [None, 2])
def test_what_is_trained_begins_as_what_is_run(folders: dict[str, Path], family: str, rank: int | None) -> None:
    tok = codectok.load(f"encoder:{folders[family]}@layer=1,2")
    assert isinstance(tok, EncoderFeatures)
    clips = [noise(8000, 1), noise(5000, 2)]
    module = tok.trained(rank).train()
    samples = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(c) for c in clips], batch_first=True)
    found, lengths = module(samples, torch.tensor([8000, 5000]))
    for i, clip in enumerate(clips):
        wanted = tok.features(clip, 16000)
        assert int(lengths[i]) == len(wanted)
        assert torch.allclose(found[i, : len(wanted)], wanted, atol=2e-4)
        assert not found[i, len(wanted) :].any()
    moving = [p for n, p in module.named_parameters() if rank is None or "lora_" in n]
    for p in module.parameters():
        p.requires_grad_(rank is None)
    for p in moving:
        p.requires_grad_(True)
    module(samples, torch.tensor([8000, 5000]))[0].square().sum().backward()
    # The second matrix of an update begins at 0: until it has moved, the first has no gradient.
    first = [p for n, p in module.named_parameters() if "lora_B" in n] if rank else moving
    still = sum(p.grad is None or not bool(p.grad.any()) for p in first)
    assert still <= len(first) // 5  # what stands behind the last layer that is read, and embeddings of masked frames


def test_an_encoder_has_features_and_no_codes(folders: dict[str, Path]) -> None:
    tok = codectok.load(f"encoder:{folders['hubert-base']}@layer=2")
    assert tok.features(noise(6400), 16000).shape == (20, 16)
    assert tok.fingerprint == codectok.units.load_encoder(folders["hubert-base"], 2).fingerprint
    assert tok.fingerprint != codectok.load(f"encoder:{folders['hubert-base']}@layer=1").fingerprint
    with pytest.raises(CodectokError, match="has features and no codes: give a tokenizer"):
        tok.encode(noise(6400), 16000)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("logmel@layer=x", "write NAME@layer=L"),
        ("@layer=1", "write NAME@layer=L"),
        ("logmel@layer=3", "logmel has one layer: give 0"),
    ],
)
def test_specs_that_name_no_layer(spec: str, message: str) -> None:
    with pytest.raises(CodectokError, match=message):
        codectok.load(f"encoder:{spec}")
    assert codectok.load("encoder:logmel").feature_dim == 80


def test_a_layer_that_is_not_there(folders: dict[str, Path]) -> None:
    with pytest.raises(CodectokError, match=r"layer 9 of .*give 0 to 3"):
        codectok.load(f"encoder:{folders['hubert-base']}@layer=9")

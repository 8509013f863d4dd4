"""Two fingerprints: tokens are bound to the codes alone, and former names of the same codes are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import codectok
from codectok import CodectokError, FingerprintError, Tokens
from codectok.codec.folder import save_codec
from codectok.codec.tokenizer import CodecTokenizer
from codectok.files.model_folder import read_config, read_weights
from codectok.fingerprint import fingerprint, same
from codectok.shipped import ALIASES, SHIPPED
from codectok.testing import voice
from codectok.transforms.unit_bpe import bpe_of
from tests.contract.subjects import SUBJECTS

TINY = [s for s in SUBJECTS if s.name.endswith("-shaped")]


@pytest.fixture(params=[s.name for s in TINY])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made = next(s for s in TINY if s.name == request.param).make()
    assert isinstance(made, CodecTokenizer)
    save_codec(made.model, tmp_path / "model")
    return tmp_path / "model"


def changed(folder: Path, part: str) -> Path:
    """The same folder with other weights of one part."""
    tok = codectok.load(folder)
    assert isinstance(tok, CodecTokenizer)
    with torch.no_grad():
        for name, weight in tok.model.named_parameters():
            if name.startswith(f"{part}."):
                weight.mul_(1.1)
    save_codec(tok.model, folder.parent / part)
    return folder.parent / part


def test_another_decoder_opens_what_was_written_before(folder: Path) -> None:
    tok, other = codectok.load(folder), codectok.load(changed(folder, "decoder"))
    assert other.fingerprint == tok.fingerprint
    assert other.decoder_fingerprint != tok.decoder_fingerprint
    tokens = tok.encode(voice(3000, tok.sample_rate), tok.sample_rate)
    assert not np.array_equal(other.decode(tokens), tok.decode(tokens))


def test_another_encoder_does_not(folder: Path) -> None:
    tok, other = codectok.load(folder), codectok.load(changed(folder, "encoder"))
    assert other.decoder_fingerprint == tok.decoder_fingerprint
    with pytest.raises(FingerprintError, match="load the tokenizer that made them"):
        other.decode(tok.encode(voice(3000, tok.sample_rate), tok.sample_rate))


def test_tokens_of_version_0_1_decode(folder: Path) -> None:
    """It hashed config and weights as a whole."""
    former = fingerprint(read_config(folder), read_weights(folder))
    tok = codectok.load(folder)
    tokens = tok.encode(voice(3000, tok.sample_rate), tok.sample_rate)
    old = Tokens(tokens.codes, 3000, tok.sample_rate, tok.frame_rate, tokens.codebook_sizes, former)
    assert former != tok.fingerprint
    assert np.array_equal(tok.decode(old), tok.decode(tokens))
    assert same(former, tok.fingerprint)
    assert Tokens.cat([old, tokens]).num_frames == 2 * tokens.num_frames


@pytest.mark.parametrize("alias", ALIASES)
def test_shipped_ones_are_in_the_table(alias: str) -> None:
    tok = codectok.load(alias)
    assert tok.name == ALIASES[alias]
    assert tok.fingerprint == SHIPPED[tok.name][0] == codectok.load(tok.name).fingerprint
    bpe = bpe_of(tok)
    assert bpe is None or tok.knows(bpe.tokenizer_fingerprint)


def test_what_others_ship_made_is_named() -> None:
    units = codectok.load("units")
    tokens = codectok.load("speech").encode(voice(3000, 16000), 16000)
    with pytest.raises(CodectokError, match=r"made by tokenizer speech-2, not by units-1 .* load 'speech-2'"):
        units.decode(tokens)


@pytest.mark.parametrize("name", ["speech", "units"])
def test_a_saved_copy_of_what_ships_reads_its_tokens(name: str, tmp_path: Path) -> None:
    tok = codectok.load(name)
    tok.save_pretrained(tmp_path / "copy")
    assert codectok.load(tmp_path / "copy").fingerprint == tok.fingerprint

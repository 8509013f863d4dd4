"""Model folders of units: the same tokens again, encoders that moved or are others, damage, BPE and vocoder, info."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from codectok import CodectokError, FingerprintError, FormatError, UnknownTokenizerError, load
from codectok.cli.main import main
from codectok.codec.gumbel import GumbelVQ
from codectok.testing import voice
from codectok.transforms.unit_bpe import UnitBPE, bpe_of
from codectok.units import load_encoder
from codectok.units.kmeans.product import GumbelStream
from codectok.units.kmeans.tokenizer import UnitTokenizer
from codectok.units.vocoder.unit_vocoder import UnitVocoder, VocoderConfig
from tests.contract.subjects import HARMONIC
from tests.units.unit_subject import made

RATE = 16000


@pytest.fixture(scope="module")
def template(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("units")
    shutil.copytree(folders["hubert-base"], folder / "encoder")
    made(folder / "encoder").save_pretrained(folder)
    return folder


@pytest.fixture
def saved(template: Path, tmp_path: Path) -> Path:
    """A model folder with the encoder inside it."""
    return Path(shutil.copytree(template, tmp_path / "units"))


def edit(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    for dotted, value in changes.items():
        *outer, last = dotted.split("__")
        at = config
        for key in outer:
            at = at[int(key)] if key.isdigit() else at[key]
        at[last] = value
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("prefix", ["", "km:"])
def test_a_saved_folder_gives_the_same_tokens(saved: Path, prefix: str) -> None:
    audio, original = voice(9000, RATE), made(saved / "encoder")
    again = load(f"{prefix}{saved}")
    assert isinstance(again, UnitTokenizer)
    assert again.fingerprint == original.fingerprint
    assert again.encode(audio, RATE) == original.encode(audio, RATE)
    assert again.name == f"{prefix}{saved}"
    assert {p.name for p in saved.iterdir()} == {"config.json", "model.safetensors", "encoder"}


def test_a_gumbel_stream_is_saved_too(folders: dict[str, Path], tmp_path: Path) -> None:
    encoder = load_encoder(folders["hubert-base"], [2])
    quantizer = GumbelVQ(16, [30, 20])
    quantizer.fit(encoder.features(voice(RATE * 3, RATE)), seed=0)
    tok = UnitTokenizer(encoder, [GumbelStream(0, quantizer)], "gumbel")
    tok.save_pretrained(tmp_path)
    assert load(tmp_path).encode(voice(9000, RATE), RATE) == tok.encode(voice(9000, RATE), RATE)


def test_a_folder_moves_with_the_encoder_inside_it(saved: Path, tmp_path: Path) -> None:
    fingerprint = load(saved).fingerprint
    assert json.loads((saved / "config.json").read_text())["encoder"]["name"] == "./encoder"
    moved = tmp_path / "moved"
    saved.rename(moved)
    assert load(moved).fingerprint == fingerprint


def test_an_encoder_elsewhere_is_named_in_the_config(saved: Path, folders: dict[str, Path], tmp_path: Path) -> None:
    fingerprint = load(saved).fingerprint
    (saved / "encoder").rename(tmp_path / "elsewhere")
    with pytest.raises(FormatError) as caught:
        load(saved)
    text = str(caught.value)
    assert str(saved / "encoder") in text
    assert "edit encoder.name in its config.json" in text
    assert "\n" not in text
    for name in ("../elsewhere", str(tmp_path / "elsewhere"), str(folders["hubert-base"])):
        edit(saved, encoder__name=name)
        assert load(saved).fingerprint == fingerprint
    # Saved again, a path outside of the model folder is absolute, wherever the folder is.
    load(saved).save_pretrained(tmp_path / "copy")
    assert json.loads((tmp_path / "copy/config.json").read_text())["encoder"]["name"] == str(folders["hubert-base"])


@pytest.mark.parametrize(
    "change",
    [{"encoder__layer": [1, 2]}, {"encoder__window_seconds": 30.0}, {"encoder__name": "OTHER"}],
)
def test_another_encoder_is_refused(saved: Path, folders: dict[str, Path], change: dict[str, Any]) -> None:
    change = {k: str(folders["wav2vec2-base"]) if v == "OTHER" else v for k, v in change.items()}
    edit(saved, **change)
    with pytest.raises(FingerprintError, match=r"its units would be others; .* edit encoder\.name"):
        load(saved)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"tokenizer_type": "other"}, "tokenizer_type 'other'"),
        ({"format_version": 99}, "format_version 99"),
        ({"no_such_key": 1}, "unknown key no_such_key"),
        ({"encoder__no_such_key": 1}, r"unknown key encoder\.no_such_key"),
        ({"streams__0__no_such_key": 1}, r"unknown key streams\.0\.no_such_key"),
        ({"streams__0__type": "vq"}, r"streams\.0 has a type other than"),
        ({"streams__0__sizes": [60]}, "do not fit"),
        ({"streams__0__sizes": [60, 51]}, "do not fit"),
        ({"streams__0__layer_index": "x"}, "do not fit"),
        ({"streams__0__layer_index": 7}, "layer_index 7"),
        ({"streams__0__layer_index": 1}, "do not belong together"),
        ({"streams": {}}, "no list"),
        ({"encoder": "hubert"}, "no object"),
        ({"fingerprint": "0" * 32}, "do not belong together"),
    ],
)
def test_damaged_configs_are_refused(saved: Path, changes: dict[str, Any], match: str) -> None:
    edit(saved, **changes)
    with pytest.raises(FormatError, match=match) as caught:
        load(saved)
    assert "\n" not in str(caught.value)


def test_damaged_weights_are_refused(saved: Path) -> None:
    path = saved / "model.safetensors"
    tensors = {name: t.clone() for name, t in load_file(path).items()}  # which are views of the file
    for broken, match in [
        ({**tensors, "extra": torch.zeros(1)}, "unknown tensor 'extra'"),
        ({k: v for k, v in tensors.items() if k != "streams.0.centroids.1"}, "centroids.1' is missing"),
        ({**tensors, "streams.0.centroids.1": tensors["streams.0.centroids.1"] + 0.1}, "do not belong together"),
        ({**tensors, "streams.0.mean": torch.zeros(3)}, "do not fit: mean of shape"),
        ({**tensors, "streams.0.more": torch.zeros(3)}, "do not fit"),
    ]:
        save_file(broken, path)
        with pytest.raises(FormatError, match=match):
            load(saved)
    path.unlink()
    with pytest.raises(FormatError, match=r"no model\.safetensors"):
        load(saved)


def test_km_needs_a_folder_of_units(tmp_path: Path) -> None:
    with pytest.raises(UnknownTokenizerError, match="no folder nowhere"):
        load("km:nowhere")
    load("speech").save_pretrained(tmp_path)
    with pytest.raises(FormatError, match="tokenizer_type None"):
        load(f"km:{tmp_path}")


def test_parts_go_along_and_never_to_other_units(saved: Path, tmp_path: Path, folders: dict[str, Path]) -> None:
    tok = load(saved)
    bpe = UnitBPE(tok.codebook_sizes[:1], [(3, 4)], tokenizer_fingerprint=tok.fingerprint)
    bpe.save(saved)
    load(saved).save_pretrained(tmp_path / "copy")
    copied = bpe_of(load(tmp_path / "copy"))
    assert copied is not None
    assert copied.fingerprint == bpe.fingerprint
    with pytest.raises(CodectokError, match=r"has the bpe\.json of other units"):
        made(folders["hubert-base"], (0, 3)).save_pretrained(saved)
    assert load(saved).fingerprint == tok.fingerprint


def test_a_trained_vocoder_goes_along(saved: Path, tmp_path: Path) -> None:
    tok = load(saved)
    assert isinstance(tok, UnitTokenizer)
    config = VocoderConfig(list(tok.codebook_sizes), [320, 1], ["a"], "a", asdict(HARMONIC), dim=8, depth=1)
    spoken = UnitTokenizer(tok.encoder, tok.streams, "spoken", vocoder=UnitVocoder(config).eval())
    spoken.save_pretrained(tmp_path / "first")
    load(tmp_path / "first").save_pretrained(tmp_path / "second")
    again, tokens = load(tmp_path / "second"), spoken.encode(voice(3000, RATE), RATE)
    assert again.can_decode
    assert again.fingerprint == tok.fingerprint
    assert again.decode(tokens).shape == (3000,)
    assert np.array_equal(again.decode(tokens), spoken.decode(tokens))
    shutil.copytree(tmp_path / "first/vocoder", saved / "vocoder")
    edit(saved / "vocoder", codebook_sizes=[500])
    with pytest.raises(FormatError, match=r"do not fit|is for units of sizes"):
        load(saved)


def test_info_of_a_folder(saved: Path) -> None:
    result = CliRunner().invoke(main, ["info", str(saved), "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["codebook_sizes"] == [60, 50, 40, 40]
    assert (facts["frame_rate"], facts["causal"], facts["can_decode"]) == (50.0, False, False)
    assert facts["encoder"] == str(saved / "encoder")
    assert facts["layers"] == [1, 3]
    assert facts["fingerprint"] == load(saved).fingerprint
    assert "layers          1, 3 (hf)" in CliRunner().invoke(main, ["info", str(saved)]).stdout

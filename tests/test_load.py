"""Finding tokenizers, model folders and fingerprints."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from codectok import FingerprintError, FormatError, UnknownTokenizerError, load
from codectok.codec.folder import save_codec
from codectok.codec.harmonic import HarmonicCodec
from codectok.fingerprint import fingerprint
from codectok.testing import voice
from tests.contract.subjects import HARMONIC, settle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_codec(settle(HarmonicCodec(HARMONIC)), tmp_path / "model")
    return tmp_path / "model"


def test_default_is_speech() -> None:
    assert load().name == "speech-2"
    assert load().fingerprint == load("speech").fingerprint


def test_a_folder_gives_the_same_codes_again(folder: Path, tmp_path: Path) -> None:
    tok = load(folder)
    audio = voice(9000, 16000)
    codes = tok.encode(audio, 16000).codes
    tok.save_pretrained(tmp_path / "again")
    again = load(tmp_path / "again")
    assert torch.equal(again.encode(audio, 16000).codes, codes)
    assert again.fingerprint == tok.fingerprint
    assert len(codes.unique()) > 20


def test_fingerprint_follows_weights_and_config_not_the_path(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    before = load(moved).fingerprint
    tensors = load_file(moved / "model.safetensors")
    name = next(n for n in tensors if n.startswith("encoder."))
    tensors[name].view(-1)[0] += 1e-3
    save_file(tensors, moved / "model.safetensors")
    after = load(moved).fingerprint
    assert before != after
    assert len(after) == 32
    a, b = {"x": 1, "y": [1, 2]}, {"y": [1, 2], "x": 1}
    assert fingerprint(a) == fingerprint(b) != fingerprint({"x": 2, "y": [1, 2]})


def test_tokens_of_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    save_codec(settle(HarmonicCodec(HARMONIC), seed=1), tmp_path / "other")
    tokens = load(folder).encode(voice(5000, 16000), 16000)
    tokens.save(tmp_path / "a.ctk")
    from codectok import Tokens

    with pytest.raises(FingerprintError, match="load the tokenizer that made them"):
        load(tmp_path / "other").decode(Tokens.load(tmp_path / "a.ctk"))


@pytest.mark.parametrize("name", ["spech", "km:nowhere", "hf:nothing/there", "./no/such/folder", "a/b/c"])
def test_unknown_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnknownTokenizerError) as caught:
        load(name)
    assert "\n" not in str(caught.value)


def test_damaged_folders(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FormatError, match=r"no config\.json"):
        load(empty)

    def rewrite(**changes: object) -> None:
        (folder / "config.json").write_text(json.dumps(config | changes))

    for changes, text in [
        ({"codec_type": "other"}, "codec_type"),
        ({"format_version": 99}, "format_version"),
        ({"no_such_key": 1}, "no_such_key"),
        ({"dim": 64}, "do not fit"),
        ({"dim": "x"}, "do not fit"),
    ]:
        rewrite(**changes)
        with pytest.raises(FormatError, match=text):
            load(folder)
    (folder / "config.json").write_text("{not json")
    with pytest.raises(FormatError, match="not valid JSON"):
        load(folder)
    rewrite()
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError, match="damaged"):
        load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FormatError, match=r"no model\.safetensors"):
        load(folder)


def test_pcm_error_is_that_of_eight_bits() -> None:
    tok = load("pcm")
    audio = voice(16000, 16000)
    error = tok.decode(tok.encode(audio, 16000)) - audio
    assert 10 * np.log10(np.square(audio).mean() / np.square(error).mean()) > 30


def test_random_codes_know_only_the_length() -> None:
    tok = load("random")
    a = tok.encode(voice(16000, 16000, seed=0), 16000)
    b = tok.encode(voice(16000, 16000, seed=1), 16000)
    assert torch.equal(a.codes, b.codes)
    counts = tok.encode(np.ones(16000 * 200, np.float32), 16000).codes.flatten().bincount(minlength=1024)
    assert counts.min() > 0.5 * counts.float().mean()
    assert counts.max() < 1.5 * counts.float().mean()


def test_hub_ids_and_aliases_go_to_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repo: str, revision: str, allow_patterns: list[str]) -> str:
        asked.append(repo)
        assert revision == f"commit of {repo}"
        assert not any(p.endswith((".bin", ".pt", ".pkl")) for p in allow_patterns)
        return str(folder)

    monkeypatch.setattr("codectok.opening.hub_facts", lambda repo: SimpleNamespace(sha=f"commit of {repo}"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert load("someone/codec").fingerprint == load("mimi").fingerprint == load("encodec-24k").fingerprint
    assert asked == ["someone/codec", "kyutai/mimi", "facebook/encodec_24khz"]

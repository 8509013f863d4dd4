"""What ``hf:`` opens, and what it refuses in one line."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import codectok
from codectok import FormatError, UnknownTokenizerError
from tests.codec.adapter.models import MODELS, clip


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Any connection or look-up of a name is an error, and is counted."""
    asked: list[Any] = []

    def refuse(*args: Any, **_: Any) -> Any:
        asked.append(args)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return asked


def copied(folder: Path, to: Path, **changes: Any) -> Path:
    """A model folder with other entries in its config."""
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(config | changes))
    return to


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_a_folder_never_asks_the_hub(kind: str, pair: Any, no_network: list[Any]) -> None:
    found = codectok.load(f"hf:{pair(kind).folder}")
    assert found.fingerprint == pair(kind).tok.fingerprint
    assert no_network == []


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_saved_again_it_is_the_same(kind: str, pair: Any, tmp_path: Path) -> None:
    tok = pair(kind).tok
    tok.save_pretrained(tmp_path / "again")
    again = codectok.load(f"hf:{tmp_path / 'again'}")
    audio = clip(5000, tok.sample_rate)[0, 0]
    assert torch.equal(again.encode(audio, tok.sample_rate).codes, tok.encode(audio, tok.sample_rate).codes)
    assert (again.fingerprint, again.decoder_fingerprint) == (tok.fingerprint, tok.decoder_fingerprint)


@pytest.mark.parametrize("kind", [k for k in sorted(MODELS) if k != "wavtokenizer_encoder"])
def test_two_fingerprints(kind: str, pair: Any, tmp_path: Path) -> None:
    found = pair(kind)
    for part in ("encoder", "decoder"):
        folder = copied(found.folder, tmp_path / part)
        tensors = load_file(folder / "model.safetensors")
        words = {"encoder": ("encoder", "acoustic_encoder"), "decoder": ("decoder", "acoustic_decoder", "backbone")}
        ours = [n for n in sorted(tensors) if n.partition(".")[0] in (*words[part], f"{part}_model")]
        tensors[ours[0]] = tensors[ours[0]] + 1e-3
        save_file(tensors, folder / "model.safetensors")
        changed = codectok.load(f"hf:{folder}")
        assert (changed.fingerprint == found.tok.fingerprint) == (part == "decoder")
        assert (changed.decoder_fingerprint == found.tok.decoder_fingerprint) == (part == "encoder")


def test_a_plain_folder_opens_our_own_class_where_there_is_one(pair: Any) -> None:
    assert type(codectok.load(pair("mimi").folder)).__name__ == "CodecTokenizer"
    assert type(codectok.load(pair("dac").folder)).__name__ == "TransformersTokenizer"


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_missing_weights_are_no_random_ones(kind: str, pair: Any, tmp_path: Path) -> None:
    folder = copied(pair(kind).folder, tmp_path / "less")
    tensors = load_file(folder / "model.safetensors")
    del tensors[sorted(tensors)[0]]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(FormatError, match="lack") as caught:
        codectok.load(f"hf:{folder}")
    one_line(caught)


@pytest.mark.parametrize("value", [3, 10**9, "many", -1, None, [], [0, 0], {"a": 1}])
@pytest.mark.parametrize("kind", sorted(MODELS))
def test_a_config_that_does_not_fit(kind: str, value: Any, pair: Any, tmp_path: Path) -> None:
    key = "quantization_levels" if kind in ("xcodec2", "neucodec") else "codebook_size"
    folder = copied(pair(kind).folder, tmp_path / "other", **{key: value})
    with pytest.raises(FormatError) as caught:
        codectok.load(f"hf:{folder}")
    one_line(caught)


def test_no_code_of_a_folder_is_run(pair: Any, tmp_path: Path) -> None:
    folder = copied(pair("dac").folder, tmp_path / "code", auto_map={"AutoModel": "own.Model", "AutoConfig": "own.C"})
    (folder / "own.py").write_text("raise SystemExit('this code was run')\n")
    assert codectok.load(f"hf:{folder}").fingerprint == pair("dac").tok.fingerprint
    folder = copied(folder, tmp_path / "unknown", model_type="my-codec")
    with pytest.raises(FormatError, match="my-codec"):
        codectok.load(f"hf:{folder}")


def test_a_pickle_is_not_read(pair: Any, tmp_path: Path) -> None:
    folder = copied(pair("dac").folder, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(FormatError, match="pickle") as caught:
        codectok.load(f"hf:{folder}")
    one_line(caught)


@pytest.mark.parametrize("name", ["descript/dac_16khz", "nobody/nothing"])
def test_without_a_network_an_id_is_one_line_at_once(name: str, no_network: list[Any]) -> None:
    from time import perf_counter

    import huggingface_hub  # noqa: F401 - the time of the import is not that of the answer
    import transformers  # noqa: F401

    began = perf_counter()
    with pytest.raises(UnknownTokenizerError) as caught:
        codectok.load(f"hf:{name}")
    assert perf_counter() - began < 2.0
    assert name in one_line(caught)


def test_a_hub_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from time import perf_counter

    import huggingface_hub

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        api = huggingface_hub.HfApi(endpoint=f"http://127.0.0.1:{deaf.getsockname()[1]}")
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api)
        began = perf_counter()
        with pytest.raises(UnknownTokenizerError) as caught:
            codectok.load("hf:nobody/nothing")
    assert perf_counter() - began < 4.0
    assert "nobody/nothing" in one_line(caught)


@pytest.mark.parametrize("name", ["hf:", "hf:plain", "hf:./no/folder", "hf:a/b/c"])
def test_what_is_neither_folder_nor_id(name: str, no_network: list[Any]) -> None:
    with pytest.raises(UnknownTokenizerError) as caught:
        codectok.load(name)
    assert name in one_line(caught)
    assert no_network == []

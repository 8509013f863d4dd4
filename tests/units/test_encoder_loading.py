"""Reading models: what is not used is neither read nor needed, and what cannot be used is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from codectok.errors import FormatError
from codectok.units import load_encoder
from tests.units.conftest import MAKERS, noise

transformers = pytest.importorskip("transformers")
safetensors_torch = pytest.importorskip("safetensors.torch")
AUDIO = noise(6000)
UNUSED = re.compile(r"^(encoder\.)?layers\.[12]\.|decoder\.|adapter")
Tensors = dict[str, torch.Tensor]


def drop(tensors: Tensors) -> Tensors:
    return {k: v for k, v in tensors.items() if not UNUSED.search(k)}


def spoil(tensors: Tensors) -> Tensors:
    return {k: v * float("nan") if UNUSED.search(k) else v for k, v in tensors.items()}


@pytest.mark.parametrize("change", [drop, spoil])
@pytest.mark.parametrize("name", MAKERS)
def test_upper_layers_are_not_read(
    folders: dict[str, Path], tmp_path: Path, name: str, change: Callable[[Tensors], Tensors]
) -> None:
    shutil.copytree(folders[name], tmp_path / "cut")
    file = tmp_path / "cut" / "model.safetensors"
    tensors = safetensors_torch.load_file(file)
    changed = change(tensors)
    assert any(UNUSED.search(k) for k in tensors)
    safetensors_torch.save_file(changed, file, metadata={"format": "pt"})
    whole, cut = load_encoder(folders[name], 1), load_encoder(tmp_path / "cut", 1)
    assert whole.fingerprint == cut.fingerprint
    assert torch.equal(whole.features(AUDIO), cut.features(AUDIO))
    assert not any(UNUSED.search(k) for k, _ in cut.model.named_parameters())


@pytest.mark.parametrize("name", ["hubert-base", "whisper"])
def test_sharded_models(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    model = transformers.AutoModel.from_pretrained(folders[name])
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    shutil.copy(folders[name] / "preprocessor_config.json", tmp_path)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1
    whole, sharded = load_encoder(folders[name], 1), load_encoder(tmp_path, 1)
    assert whole.fingerprint == sharded.fingerprint
    assert torch.equal(whole.features(AUDIO), sharded.features(AUDIO))


@pytest.mark.parametrize(
    ("name", "head"), [("hubert-base", "HubertForCTC"), ("whisper", "WhisperForConditionalGeneration")]
)
def test_checkpoints_of_other_tasks(folders: dict[str, Path], tmp_path: Path, name: str, head: str) -> None:
    maker = getattr(transformers, head)
    maker.from_pretrained(folders[name]).save_pretrained(tmp_path)
    shutil.copy(folders[name] / "preprocessor_config.json", tmp_path)
    assert load_encoder(tmp_path, 2).fingerprint == load_encoder(folders[name], 2).fingerprint


def test_a_mask_embedding_that_is_missing_is_not_drawn_at_random(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["wavlm-base"], tmp_path / "bare")
    file = tmp_path / "bare" / "model.safetensors"
    tensors = safetensors_torch.load_file(file)
    del tensors["masked_spec_embed"]
    safetensors_torch.save_file(tensors, file, metadata={"format": "pt"})
    a, b = (load_encoder(tmp_path / "bare", 1) for _ in range(2))
    assert a.fingerprint == b.fingerprint
    assert torch.equal(a.features(AUDIO), load_encoder(folders["wavlm-base"], 1).features(AUDIO))


def test_stored_half_precision_is_widened(folders: dict[str, Path], tmp_path: Path) -> None:
    model = transformers.AutoModel.from_pretrained(folders["hubert-base"], dtype=torch.float16)
    model.save_pretrained(tmp_path)
    shutil.copy(folders["hubert-base"] / "preprocessor_config.json", tmp_path)
    encoder = load_encoder(tmp_path, 1)
    assert {p.dtype for p in encoder.model.parameters()} == {torch.float32}
    assert encoder.features(noise(5000)).dtype == torch.float32


def test_bad_models_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="model folder or hub id"):
        load_encoder(tmp_path / "nosuch", 1)
    transformers.BertModel(
        transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=9)
    ).save_pretrained(tmp_path / "bert")
    with pytest.raises(FormatError, match="is a bert model; known encoders are hubert"):
        load_encoder(tmp_path / "bert", 1)
    rate = tmp_path / "8k"
    shutil.copytree(folders["hubert-base"], rate)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(rate)
    with pytest.raises(FormatError, match="8000 Hz"):
        load_encoder(rate, 1)


def test_missing_weights_are_not_made_up(folders: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folders["hubert-base"], broken)
    tensors = safetensors_torch.load_file(broken / "model.safetensors")
    del tensors["encoder.layers.1.attention.q_proj.weight"]
    safetensors_torch.save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FormatError, match="lacks weights"):
        load_encoder(broken, 2)


def test_a_pickle_is_not_read(folders: dict[str, Path], tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    shutil.copytree(folders["hubert-base"], pickled, ignore=shutil.ignore_patterns("*.safetensors"))
    (pickled / "pytorch_model.bin").write_bytes(b"not to be opened")
    with pytest.raises(FormatError, match="pickled"):
        load_encoder(pickled, 1)

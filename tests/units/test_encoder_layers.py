"""Layers: several in one pass, the named conventions against a computation by hand, what is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from codectok.errors import CodectokError
from codectok.units import load_encoder
from tests.units.conftest import LAYERS, noise

transformers = pytest.importorskip("transformers")
POST, PRE = ("hubert-base", "wav2vec2-base", "data2vec"), ("hubert-large", "wav2vec2-large")
AUDIO = noise(9000)


def by_hand(folder: Path) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
    """Of AUDIO: the residual stream before and behind each block, what each feed-forward adds, and the model's output.

    Written out from Vaswani et al. 2017 (norm behind) and Xiong et al. 2020 (norm in front), attention included.
    """
    model: Any = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    net, pre = model.encoder, getattr(model.config, "do_stable_layer_norm", False)
    x = torch.from_numpy(load_encoder(folder, 0)._scale(AUDIO))
    x = torch.nn.functional.pad(x, (40, 29 * 320 + 40 - len(x)))[None]
    with torch.no_grad():
        h = model.feature_projection(model.feature_extractor(x).mT)
        h = h[0] if isinstance(h, tuple) else h
        h = h + net.pos_conv_embed(h)
        h = h[0] if pre else net.layer_norm(h)[0]
        streams, added = [h], []
        for block in net.layers:
            y = block.layer_norm(h) if pre else h
            q, k, v = (getattr(block.attention, p)(y).unflatten(1, (2, 8)) for p in ("q_proj", "k_proj", "v_proj"))
            weights = torch.einsum("qhd,khd->hqk", q, k).div(8**0.5).softmax(-1)
            h = h + block.attention.out_proj(torch.einsum("hqk,khd->qhd", weights, v).flatten(1))
            h = h if pre else block.layer_norm(h)
            y = block.final_layer_norm(h) if pre else h
            y = torch.nn.functional.gelu(block.feed_forward.intermediate_dense(y))
            added.append(block.feed_forward.output_dense(y))
            h = h + added[-1] if pre else block.final_layer_norm(h + added[-1])
            streams.append(h)
        return streams, added, net.layer_norm(h) if pre else h


@pytest.mark.parametrize("name", [*POST, *PRE])
def test_conventions_by_hand(folders: dict[str, Path], name: str) -> None:
    streams, added, output = by_hand(folders[name])
    everything = {
        "hf": [*streams[:-1], output],
        "fairseq": streams[1:],
        "pre-residual": added,
    }
    for convention, expected in everything.items():
        layers = range(LAYERS + 1 - len(expected), LAYERS + 1)
        for layer, tensor in zip(layers, expected, strict=True):
            found = load_encoder(folders[name], layer, convention=convention).features(AUDIO)
            torch.testing.assert_close(found, tensor, atol=2e-5, rtol=1e-5)
    # The last layer is where "hf" and "fairseq" part, in layer-norm-first models only.
    assert torch.allclose(everything["hf"][-1], everything["fairseq"][-1]) == (name in POST)


@pytest.mark.parametrize("name", ["w2v-bert", "whisper", "wavlm-large", "conformer"])
def test_pre_residual_is_what_the_last_linear_layer_gives(folders: dict[str, Path], name: str) -> None:
    encoder = load_encoder(folders[name], 2, convention="pre-residual")
    block: Any = dict(encoder.model.named_modules())["layers.1" if name == "whisper" else "encoder.layers.1"]
    last = {"w2v-bert": "ffn2", "conformer": "ffn2", "wavlm-large": "feed_forward"}
    linear = block.fc2 if name == "whisper" else getattr(block, last[name]).output_dense
    seen: list[torch.Tensor] = []
    linear.register_forward_hook(lambda *args: seen.append(args[2]))
    found = encoder.features(AUDIO)
    torch.testing.assert_close(found, seen[0][0, : len(found)])


def test_fairseq_last_layer_of_whisper_has_no_norm(folders: dict[str, Path]) -> None:
    normed, bare = (load_encoder(folders["whisper"], -1, convention=c) for c in ("hf", "fairseq"))
    norm: Any = normed.model.layer_norm
    torch.testing.assert_close(norm(bare.features(AUDIO)), normed.features(AUDIO), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("convention", "layers"), [("hf", (3, 0, 2)), ("fairseq", (1, 3)), ("pre-residual", (2, 1))])
@pytest.mark.parametrize("name", ["hubert-base", "wavlm-large", "w2v-bert", "whisper", "ast"])
def test_several_layers_are_side_by_side(
    folders: dict[str, Path], name: str, convention: str, layers: tuple[int, ...]
) -> None:
    options: Any = {"convention": convention, "tail_seconds": 0.2 if name == "whisper" else None}
    encoder = load_encoder(folders[name], layers, **options)
    assert (encoder.layers, encoder.layer_dim, encoder.dim) == (layers, 16, 16 * len(layers))
    found = encoder.features(AUDIO)
    single = [load_encoder(folders[name], i, **options).features(AUDIO) for i in layers]
    assert torch.equal(found, torch.cat(single, 1))


def test_layers_count_in_options_and_fingerprint(folders: dict[str, Path]) -> None:
    folder = folders["hubert-large"]
    chosen: list[Any] = [(1, "hf"), (3, "hf"), ([1, 3], "hf"), ([3, 1], "hf"), (3, "fairseq"), (3, "pre-residual")]
    marks = {load_encoder(folder, layer, convention=convention).fingerprint for layer, convention in chosen}
    assert len(marks) == 6
    # Where the conventions name the same tensor, it is the same encoder.
    assert load_encoder(folder, 1).fingerprint == load_encoder(folder, 1, convention="fairseq").fingerprint


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hubert-large", {"layer": [-1, 1], "convention": "fairseq", "padding": "none"}),
        ("whisper", {"layer": 2, "tail_seconds": 0.5, "dtype": "bfloat16"}),
        ("wavlm-base", {"layer": -2, "window_seconds": 5.0, "overlap_seconds": 1.0}),
    ],
)
def test_options_open_the_same_encoder(folders: dict[str, Path], name: str, options: dict[str, Any]) -> None:
    encoder = load_encoder(folders[name], **options)
    stored = json.loads(json.dumps(encoder.options()))
    again = load_encoder(**stored)
    assert again.fingerprint == encoder.fingerprint
    assert again.options() == encoder.options()
    assert (again.layers, again.convention, again.padding) == (encoder.layers, encoder.convention, encoder.padding)
    assert encoder.name_or_path == str(folders[name])
    assert torch.equal(again.features(AUDIO), encoder.features(AUDIO))


@pytest.mark.parametrize(
    ("layer", "convention", "message"),
    [
        (0, "fairseq", "layer 0 of .*: give 1 to 3, or -1 to -3"),
        (4, "pre-residual", "give 1 to 3"),
        ([1, -3], "hf", "each once"),
        ([], "hf", "at least one"),
        (1, "s3prl", "give one of hf, fairseq, pre-residual"),
    ],
)
def test_bad_layers_are_refused(folders: dict[str, Path], layer: Any, convention: str, message: str) -> None:
    with pytest.raises(CodectokError, match=message):
        load_encoder(folders["hubert-base"], layer, convention=convention)


@pytest.mark.parametrize("name", ["hubert-base", "w2v-bert", "whisper"])
def test_encoders_can_be_sent_to_workers(folders: dict[str, Path], name: str) -> None:
    encoder = load_encoder(folders[name], [0, 2, 1], convention="hf")
    sent = pickle.loads(pickle.dumps(encoder))
    assert torch.equal(sent.features(AUDIO), encoder.features(AUDIO))
    assert sent.fingerprint == encoder.fingerprint

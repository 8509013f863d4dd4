"""EnCodec against transformers' own: latents, codes, audio, streams, batches, folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import EncodecConfig

from codectok.codec import seanet
from codectok.codec.encodec import EncodecCodec, EncodecCodecConfig
from codectok.codec.folder import save_codec
from codectok.codec.hf import fold_weight_norm, load_hf_codec, open_hf_codec
from codectok.codec.opening import open_codec
from codectok.codec.tokenizer import CodecTokenizer
from codectok.errors import FormatError
from tests.codec.peers import audio, count_ties, encodec_peer, error, in_blocks, levels, our_encodec

Pair = tuple[Any, EncodecCodec]
SMALL: dict[str, dict[str, Any]] = {
    "default": {},
    "zeros": {"pad_mode": "constant", "use_conv_shortcut": False},
    "deep": {"num_residual_layers": 3, "dilation_growth_rate": 3, "upsampling_ratios": [3, 2], "compress": 1},
    "replicate": {"pad_mode": "replicate", "num_lstm_layers": 1, "kernel_size": 5, "last_kernel_size": 3},
    "wide": {"residual_kernel_size": 5, "last_kernel_size": 9, "upsampling_ratios": [4], "num_filters": 6},
}


@pytest.fixture(scope="module", params=SMALL)
def small(request: pytest.FixtureRequest) -> Pair:
    """Small models with every option."""
    base: dict[str, Any] = {"num_filters": 4, "hidden_size": 8, "upsampling_ratios": [4, 2], "codebook_size": 64}
    peer = encodec_peer(EncodecConfig(**{**base, "target_bandwidths": [72.0], **SMALL[request.param]}))
    return peer, our_encodec(peer)


@torch.inference_mode()
@pytest.mark.parametrize("length", [1, 5, 250, 321, 1921, 24000, 48077])
def test_full_size_latents_codes_and_audio(encodec_pair: Pair, length: int) -> None:
    peer, model = encodec_pair
    x = audio(length)
    expected = peer.encoder(x[:, None]).mT
    latents, _ = model.encode_step(x, None, True)
    assert error(latents, expected) < 1e-4
    assert latents.shape[1] == model.num_frames(length)
    for codebooks, bandwidth in ((2, 1.5), (8, 6.0), (32, 24.0)):
        theirs = peer.encode(x[:, None], bandwidth=bandwidth).audio_codes[0]
        ours = model.quantize(latents, codebooks)
        parts = [(latents[0], levels(model.quantizer)[:codebooks])]
        assert count_ties(ours[0], theirs[0], parts) <= 0.02 * latents.shape[1]
        reference = peer.decode(theirs[None], [None]).audio_values[:, 0]
        decoded, _ = model.decode_step(model.dequantize(theirs), None, True)
        assert error(decoded, reference) < 1e-4


@torch.inference_mode()
def test_the_test_model_uses_its_codes(encodec_pair: Pair) -> None:
    """Otherwise equal codes would prove nothing."""
    _, model = encodec_pair
    latents, _ = model.encode_step(audio(72000), None, True)
    used = [len(c.unique()) for c in model.quantize(latents, 32)[0]]
    assert min(used) > 60
    assert len(model.quantize(latents, 8).unique()) > 500
    samples, _ = model.decode_step(model.dequantize(model.quantize(latents, 8)), None, True)
    assert samples.std() > 0.1 * samples.abs().max(), "the decoder must not answer with a constant"


@torch.inference_mode()
@pytest.mark.parametrize("sizes", [[7, 1], [75], [20, 3]])
def test_full_size_blocks_equal_the_whole(encodec_pair: Pair, sizes: list[int]) -> None:
    _, model = encodec_pair
    x = audio(30 * 320 + 100)
    latents, _ = model.encode_step(x, None, True)
    blocks = in_blocks(model.encode_step, x, [320 * n for n in sizes])
    assert error(blocks, latents) < 1e-5
    samples, _ = model.decode_step(latents, None, True)
    assert error(in_blocks(model.decode_step, latents, sizes), samples) < 1e-5


@torch.inference_mode()
def test_long_blocks_run_in_parts_and_give_the_same(encodec_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    _, model = encodec_pair
    x = audio(30 * 320 + 100, batch=2)
    latents, _ = model.encode_step(x, None, True)
    samples, _ = model.decode_step(latents, None, True)
    monkeypatch.setattr(seanet, "PART_BYTES", 2 * 8 * model.encoder.frame_bytes)
    runs = 0
    run = seanet.Seanet._run

    def counted(*arguments: Any) -> Any:
        nonlocal runs
        runs += 1
        return run(*arguments)

    monkeypatch.setattr(seanet.Seanet, "_run", counted)
    assert error(model.encode_step(x, None, True)[0], latents) < 1e-5
    assert runs == 4, "31 frames in parts of 8"
    assert error(model.decode_step(latents, None, True)[0], samples) < 1e-5


def test_first_frames_is_what_the_last_kernel_reflects(encodec_pair: Pair) -> None:
    _, model = encodec_pair
    assert model.first_frames == 7
    with pytest.raises(ValueError, match="first block"):
        model.encode_step(torch.zeros(1, 6 * 320), None, False)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 900), st.lists(st.integers(1, 20), min_size=1, max_size=5))
@torch.inference_mode()
def test_small_models_whole_and_in_blocks(small: Pair, length: int, sizes: list[int]) -> None:
    peer, model = small
    x = audio(length, batch=2)
    latents, _ = model.encode_step(x, None, True)
    assert error(latents, peer.encoder(x[:, None]).mT) < 1e-4
    sizes = [max(sizes[0], model.first_frames), *sizes]
    assert error(in_blocks(model.encode_step, x, [model.frame_size * n for n in sizes]), latents) < 1e-4
    samples, _ = model.decode_step(latents, None, True)
    assert error(samples, peer.decoder(latents.mT)[:, 0]) < 1e-4
    assert error(in_blocks(model.decode_step, latents, sizes), samples) < 1e-4


def test_batch_items_keep_their_own_tails(small: Pair) -> None:
    _, model = small
    tokenizer = CodecTokenizer(model, "small", "0" * 32, block_seconds=0.01)
    clips = [audio(n, seed=n)[0].numpy() for n in (1, 700, 701, 1500, 1501, 1500)]
    for clip, together in zip(clips, tokenizer.features_batch(clips, 24000), strict=True):
        torch.testing.assert_close(together, tokenizer.features(clip, 24000), rtol=1e-5, atol=1e-5)
    for clip, tokens in zip(clips, tokenizer.encode_batch(clips, 24000), strict=True):
        assert tokens.codes.shape[1] == model.num_frames(len(clip))


@torch.no_grad()
def test_both_spellings_of_weight_norm_fold_to_torchs_weights() -> None:
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.ConvTranspose1d(5, 3, 7))
    layer.parametrizations.weight.original0.mul_(1.7)
    new = layer.state_dict()
    old = {
        "weight_g": new["parametrizations.weight.original0"],
        "weight_v": new["parametrizations.weight.original1"],
        "bias": new["bias"],
    }
    for spelling in (new, old):
        folded = fold_weight_norm({f"a.{k}": v for k, v in spelling.items()})
        assert set(folded) == {"a.weight", "a.bias"}
        torch.testing.assert_close(folded["a.weight"], layer.weight, rtol=1e-6, atol=1e-7)


def test_own_format_round_trip_keeps_weights_and_fingerprint(tmp_path: Path) -> None:
    peer = encodec_peer(EncodecConfig(num_filters=4, hidden_size=8, upsampling_ratios=[4, 2], codebook_size=64))
    peer.save_pretrained(tmp_path / "hf")
    theirs = open_hf_codec(tmp_path / "hf", "a")
    save_codec(theirs.model, tmp_path / "ours")
    again = open_codec(tmp_path / "ours", "b")
    assert again.fingerprint == theirs.fingerprint
    assert isinstance(again.model.config, EncodecCodecConfig)
    x = audio(1000)[0].numpy()
    assert torch.equal(again.encode(x, 24000).codes, theirs.encode(x, 24000).codes)


def test_older_checkpoints_and_shards_load_the_same(encodec_folder: tuple[Any, Path], tmp_path: Path) -> None:
    """The published checkpoint spells its weight norms weight_g and weight_v."""
    _, folder = encodec_folder
    spelled = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    assert any(name.endswith("weight_v") for name in spelled)
    halves = {"model-1.safetensors": ("encoder",), "model-2.safetensors": ("decoder", "quantizer")}
    for file, prefix in halves.items():
        save_file({k: v.contiguous() for k, v in spelled.items() if k.startswith(prefix)}, tmp_path / file)
    index = {k: next(file for file, prefix in halves.items() if k.startswith(prefix)) for k in spelled}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    one, two = load_hf_codec(folder).state_dict(), load_hf_codec(tmp_path).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def _config(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    config = EncodecConfig().to_dict()
    change(config)
    return config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_causal_conv": False}, "use_causal_conv"),
        ({"norm_type": "time_group_norm"}, "norm_type"),
        ({"model_type": "dac"}, "dac"),
    ],
)
def test_what_is_not_built_in_is_refused_in_one_line(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(_config(lambda c: c.update(change))))
    with pytest.raises(FormatError, match=f"{message}.*not built in.*hf:ID_OR_FOLDER") as caught:
        load_hf_codec(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_padding_that_is_not_built_in(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(_config(lambda c: c.update({"pad_mode": "circular"}))))
    with pytest.raises(FormatError, match=r"pad_mode.*not built in.*give another"):
        load_hf_codec(tmp_path)


@pytest.mark.parametrize("change", [{"normalize": True}, {"chunk_length_s": 1.0}, {"audio_channels": 2}])
def test_segments_of_their_own_loudness_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(_config(lambda c: c.update(change))))
    with pytest.raises(FormatError, match=r"loudness beside its codes.*give facebook/encodec_24khz") as caught:
        load_hf_codec(tmp_path)
    assert "\n" not in str(caught.value)


def test_pickled_missing_or_wrong_weights_are_errors(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(_config(lambda c: None)))
    with pytest.raises(FormatError, match=r"no model\.safetensors"):
        load_hf_codec(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(FormatError, match=r"pickle.*save_pretrained"):
        load_hf_codec(tmp_path)
    save_file({"encoder.layers.0.conv.bias": torch.zeros(32)}, tmp_path / "model.safetensors")
    with pytest.raises(FormatError, match="the config asks for more weights"):
        load_hf_codec(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(np.zeros(4, np.uint8).tobytes())
    with pytest.raises(FormatError, match="damaged"):
        load_hf_codec(tmp_path)


@torch.inference_mode()
def test_an_empty_final_block_gives_nothing(small: Pair) -> None:
    _, model = small
    frames = max(8, model.first_frames)
    for x in (None, torch.randn(2, frames * model.frame_size)):
        state = None if x is None else model.encode_step(x, None, False)[1]
        assert model.encode_step(torch.zeros(2, 0), state, True)[0].shape == (2, 0, model.latent_dim)
        state = None if x is None else model.decode_step(torch.randn(2, frames, model.latent_dim), None, False)[1]
        assert model.decode_step(torch.zeros(2, 0, model.latent_dim), state, True)[0].shape == (2, 0)


def test_it_can_be_trained(small: Pair) -> None:
    _, model = small
    latents, _ = model.encode_step(audio(600, batch=2), None, True)
    quantized = model.quantizer(latents)
    samples, _ = model.decode_step(quantized.quantized, None, True)
    (samples.square().mean() + quantized.commitment.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.zero_grad()

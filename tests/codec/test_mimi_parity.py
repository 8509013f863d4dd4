"""Mimi against transformers' own: latents, codes, audio, streams longer than the attention window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MimiConfig

from codectok.codec.folder import save_codec
from codectok.codec.hf import load_hf_codec, open_hf_codec
from codectok.codec.mimi import MimiCodec
from codectok.codec.opening import open_codec
from codectok.codec.state_trees import tree_map
from codectok.codec.tokenizer import CodecTokenizer
from codectok.errors import FormatError
from tests.codec.peers import audio, count_ties, error, in_blocks, levels, mimi_peer, our_mimi

Pair = tuple[Any, MimiCodec]
BASE: dict[str, Any] = {
    "num_filters": 4,
    "hidden_size": 16,
    "upsampling_ratios": [4, 2],
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 32,
    "upsample_groups": 16,
    "codebook_size": 64,
    "codebook_dim": 8,
    "vector_quantization_hidden_dimension": 8,
    "num_quantizers": 6,
    "sliding_window": 7,
}
SMALL: dict[str, dict[str, Any]] = {
    "default": {},
    "reflect": {"pad_mode": "reflect", "use_conv_shortcut": True, "num_semantic_quantizers": 2, "sliding_window": 3},
    "unprojected": {"codebook_dim": 16, "vector_quantization_hidden_dimension": 16, "num_residual_layers": 2},
    "quarter": {"frame_rate": 750.0, "rope_parameters": {"rope_type": "default", "rope_theta": 100.0}},
}


@pytest.fixture(scope="module", params=SMALL)
def small(request: pytest.FixtureRequest) -> Pair:
    """Small models with every option."""
    peer = mimi_peer(MimiConfig(**{**BASE, **SMALL[request.param]}))
    return peer, our_mimi(peer)


def _parts(model: MimiCodec, latents: torch.Tensor, codebooks: int) -> list[tuple[torch.Tensor, list[torch.Tensor]]]:
    semantic, acoustic = model.quantizer.semantic, model.quantizer.acoustic
    first = model.quantizer.num_semantic
    return [
        (semantic.input(latents)[0], levels(semantic.vq)),
        (acoustic.input(latents)[0], levels(acoustic.vq)[: codebooks - first]),
    ]


@torch.inference_mode()
@pytest.mark.parametrize("length", [1, 959, 1921, 24000, 48005])
def test_full_size_latents_codes_and_audio(mimi_pair: Pair, length: int) -> None:
    peer, model = mimi_pair
    x = audio(length)
    expected = peer.encoder(x[:, None]).latents.mT
    latents, _ = model.encode_step(x, None, True)
    assert error(latents, expected) < 1e-4
    assert latents.shape[1] == model.num_frames(length)
    for codebooks in (8, 32):
        theirs = peer.encode(x[:, None], num_quantizers=codebooks).audio_codes
        ours = model.quantize(latents, codebooks)
        assert count_ties(ours[0], theirs[0], _parts(model, latents, codebooks)) <= 0.05 * latents.shape[1]
        reference = peer.decode(theirs).audio_values[:, 0]
        decoded, _ = model.decode_step(model.dequantize(theirs), None, True)
        assert error(decoded, reference) < 1e-4


@torch.inference_mode()
def test_full_size_beyond_the_attention_window_in_blocks(mimi_pair: Pair) -> None:
    """12 s are 300 frames, the window is 250: whole, in blocks, and transformers agree."""
    peer, model = mimi_pair
    x = audio(12 * 24000)
    latents = in_blocks(model.encode_step, x, [1920 * 25])
    assert error(latents, peer.encoder(x[:, None]).latents.mT) < 1e-4
    used = [len(c.unique()) for c in model.quantize(latents, 32)[0]]
    assert min(used) > 40, "otherwise equal codes prove nothing"


@torch.inference_mode()
def test_full_size_80_ms_chunks_equal_the_whole(mimi_pair: Pair) -> None:
    _, model = mimi_pair
    x = audio(10 * 1920 + 700)
    latents, _ = model.encode_step(x, None, True)
    assert error(in_blocks(model.encode_step, x, [1920]), latents) < 1e-5
    samples, _ = model.decode_step(latents, None, True)
    assert error(in_blocks(model.decode_step, latents, [1]), samples) < 1e-5


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 900), st.lists(st.integers(1, 20), min_size=1, max_size=5))
@torch.inference_mode()
def test_small_models_whole_and_in_blocks(small: Pair, length: int, sizes: list[int]) -> None:
    peer, model = small
    x = audio(length, batch=2)
    latents, _ = model.encode_step(x, None, True)
    assert error(latents, peer.encoder(x[:, None]).latents.mT) < 1e-4
    for codebooks in (model.quantizer.num_semantic, 6):
        theirs = peer.encode(x[:1, None], num_quantizers=codebooks).audio_codes[0]
        count_ties(model.quantize(latents, codebooks)[0], theirs, _parts(model, latents[:1], codebooks))
    sizes = [max(sizes[0], model.first_frames), *sizes]
    assert error(in_blocks(model.encode_step, x, [model.frame_size * n for n in sizes]), latents) < 1e-4
    samples, _ = model.decode_step(latents, None, True)
    assert error(samples, peer.decoder(latents.mT).audio_values[:, 0]) < 1e-4
    assert error(in_blocks(model.decode_step, latents, sizes), samples) < 1e-4


@torch.inference_mode()
def test_state_is_bounded_by_the_window(small: Pair) -> None:
    _, model = small
    sizes = []
    for blocks in (10, 40):
        state = None
        for _ in range(blocks):
            _, state = model.encode_step(torch.zeros(1, model.frame_size * max(4, model.first_frames)), state, False)
        total = 0

        def add(tensor: torch.Tensor) -> None:
            nonlocal total
            total += tensor.untyped_storage().nbytes()

        tree_map(add, state)
        sizes.append(total)
    assert sizes[0] == sizes[1]


def test_batch_items_keep_their_own_tails(small: Pair) -> None:
    _, model = small
    tokenizer = CodecTokenizer(model, "small", "0" * 32, block_seconds=0.01)
    clips = [audio(n, seed=n)[0].numpy() for n in (1, 700, 701, 1500, 1501, 1500)]
    for clip, together in zip(clips, tokenizer.features_batch(clips, 24000), strict=True):
        torch.testing.assert_close(together, tokenizer.features(clip, 24000), rtol=1e-5, atol=1e-5)


def test_folders_nested_or_flat_and_our_own(tmp_path: Path) -> None:
    """transformers writes the published, flat names; in memory, and for halves, they are nested."""
    peer = mimi_peer(MimiConfig(**BASE))
    peer.save_pretrained(tmp_path / "hf")
    theirs = open_hf_codec(tmp_path / "hf", "a")
    nested = our_mimi(peer).state_dict()
    assert any(name.startswith("encoder.encoder_seanet.") for name in peer.state_dict())
    assert all(torch.equal(tensor, nested[name]) for name, tensor in theirs.model.state_dict().items())
    save_codec(theirs.model, tmp_path / "ours")
    again = open_codec(tmp_path / "ours", "b")
    assert again.fingerprint == theirs.fingerprint
    x = audio(500)[0].numpy()
    assert torch.equal(again.encode(x, 24000).codes, theirs.encode(x, 24000).codes)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_act": "relu"},
        {"attention_bias": True},
        {"num_key_value_heads": 4},
        {"upsample_groups": 1},
        {"head_dim": 32},
        {"trim_right_ratio": 0.5},
    ],
)
def test_what_is_not_built_in_is_refused_in_one_line(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**MimiConfig().to_dict(), **change}))
    with pytest.raises(FormatError, match=f"{next(iter(change))}.*not built in.*hf:ID_OR_FOLDER") as caught:
        load_hf_codec(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change", [{"use_causal_conv": False}, {"codebook_dim": 128}, {"audio_channels": 2}, {"frame_rate": 25.0}]
)
def test_what_runs_nowhere_is_refused_in_one_line(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**MimiConfig().to_dict(), **change}))
    with pytest.raises(FormatError, match=f"{next(iter(change))}.*not built in.*give another model") as caught:
        load_hf_codec(tmp_path)
    assert "\n" not in str(caught.value)


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

"""What transformers calls the options and the weights of EnCodec and Mimi, and what they are here (checked on 5.23)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from codectok.codec.conv import PAD_MODES, CausalConv, CausalConvTranspose, pack_conv, pack_conv_transpose
from codectok.codec.encodec import EncodecCodec, EncodecCodecConfig
from codectok.codec.mimi import MimiCodec, MimiCodecConfig
from codectok.codec.seanet import ResidualBlock, Seanet
from codectok.errors import FormatError

Weights = dict[str, Tensor]
SEGMENTS = (
    "EnCodec in stereo, or in segments of their own loudness (48 kHz), needs that loudness beside its codes, "
    "which no Tokens hold: give facebook/encodec_24khz or another of one channel"
)
"""Why neither our own class nor the adapter opens such a model."""
OTHER = "give another model, since transformers does not run this one either"
REMEDY = "open it as hf:ID_OR_FOLDER, which runs transformers' own class"


def _refuse(config: dict[str, Any], model: str, expected: dict[str, Any], remedy: str = REMEDY) -> None:
    """Raise on the first option that is set otherwise than our classes work."""
    for key, value in expected.items():
        if config.get(key, value) != value:
            got = config[key]
            raise FormatError(
                f"{model} with {key} {got!r} is not built in (only {value!r} is): {remedy}",
                key=key,
                given=got,
                allowed=repr(value),
            )


# -- configurations -------------------------------------------------------------------------------------------------


def _seanet(config: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The fields of a SeanetConfig."""
    c = {**defaults, **{k: v for k, v in config.items() if v is not None}}
    if c["pad_mode"] not in PAD_MODES:
        modes = ", ".join(PAD_MODES)
        raise FormatError(
            f"pad_mode {c['pad_mode']!r} is not built in ({modes} are): give another model",
            key="pad_mode",
            given=c["pad_mode"],
            allowed=modes,
        )
    return {
        "sample_rate": c["sampling_rate"],
        "dim": c["hidden_size"],
        "filters": c["num_filters"],
        "ratios": list(c["upsampling_ratios"]),
        "kernel": c.get("kernel_size", 7),
        "last_kernel": c["last_kernel_size"],
        "residual_kernel": c.get("residual_kernel_size", 3),
        "residual_layers": c.get("num_residual_layers", 1),
        "dilation_growth": c.get("dilation_growth_rate", 2),
        "compress": c.get("compress", 2),
        "conv_shortcut": c["use_conv_shortcut"],
        "lstm_layers": c["num_lstm_layers"],
        "pad_mode": c["pad_mode"],
    }


def encodec_config(config: dict[str, Any]) -> EncodecCodecConfig:
    """Our configuration for a transformers ``EncodecConfig`` given as a dict.

    Raises:
        FormatError: the 48 kHz model's options, or others that our class does not have.
    """
    if config.get("audio_channels", 1) != 1 or config.get("normalize") or config.get("chunk_length_s") is not None:
        raise FormatError(SEGMENTS)
    _refuse(config, "EnCodec", {"use_causal_conv": True, "norm_type": "weight_norm", "trim_right_ratio": 1.0})
    defaults = {"sampling_rate": 24000, "hidden_size": 128, "num_filters": 32, "upsampling_ratios": [8, 5, 4, 2]}
    defaults |= {"last_kernel_size": 7, "use_conv_shortcut": True, "num_lstm_layers": 2, "pad_mode": "reflect"}
    shape = _seanet(config, defaults)
    given = config.get("codebook_dim") or shape["dim"]
    _refuse({"codebook_dim": given}, "EnCodec", {"codebook_dim": shape["dim"]}, OTHER)
    size = config.get("codebook_size", 1024)
    frame_rate = math.ceil(shape["sample_rate"] / math.prod(shape["ratios"]))
    top = config.get("target_bandwidths", [24.0])[-1]
    levels = int(1000 * top // (frame_rate * math.ceil(math.log2(size))))
    return EncodecCodecConfig(**shape, codebook_sizes=[size] * levels)


def mimi_config(config: dict[str, Any]) -> MimiCodecConfig:
    """Our configuration for a transformers ``MimiConfig`` given as a dict.

    Raises:
        FormatError: options that our class does not have.
    """
    defaults = {"sampling_rate": 24000, "hidden_size": 512, "num_filters": 64, "upsampling_ratios": [8, 6, 5, 4]}
    defaults |= {"last_kernel_size": 3, "use_conv_shortcut": False, "num_lstm_layers": 0, "pad_mode": "constant"}
    shape = _seanet(config, defaults)
    heads, dim = config.get("num_attention_heads", 8), shape["dim"]
    rope = config.get("rope_parameters") or {}
    _refuse(config, "Mimi", {"audio_channels": 1, "use_causal_conv": True}, OTHER)
    needed = {"trim_right_ratio": 1.0, "hidden_act": "gelu"}
    needed |= {"attention_bias": False, "num_key_value_heads": heads, "upsample_groups": dim}
    _refuse({"num_key_value_heads": 8, "upsample_groups": 512, **config}, "Mimi", needed)
    _refuse({"head_dim": config.get("head_dim") or dim // heads}, "Mimi", {"head_dim": dim // heads})
    _refuse(rope, "Mimi", {"rope_type": "default"})
    code_dim = config.get("vector_quantization_hidden_dimension", 256)
    _refuse({"codebook_dim": config.get("codebook_dim", 256)}, "Mimi", {"codebook_dim": code_dim}, OTHER)
    _refuse({"head_dim": dim // heads}, "Mimi", {"head_dim": dim / heads})
    hop = math.prod(shape["ratios"])
    code_rate = config.get("frame_rate") or config.get("_frame_rate") or shape["sample_rate"] / (2 * hop)
    stride = int(math.ceil(shape["sample_rate"] / hop) / code_rate)
    if stride < 2:
        raise FormatError(
            f"Mimi with frame_rate {code_rate} (no downsampling) is not built in: {OTHER}",
            key="frame_rate",
            given=code_rate,
        )
    return MimiCodecConfig(
        **shape,
        code_stride=stride,
        transformer_layers=config.get("num_hidden_layers", 8),
        heads=heads,
        hidden=config.get("intermediate_size", 2048),
        window=config.get("sliding_window", 250),
        rope_theta=rope.get("rope_theta", config.get("rope_theta", 10000.0)),
        norm_eps=config.get("norm_eps", 1e-5),
        code_dim=code_dim,
        codebook_sizes=[config.get("codebook_size", 2048)] * config.get("num_quantizers", 32),
        num_semantic=config.get("num_semantic_quantizers", 1),
    )


# -- weights --------------------------------------------------------------------------------------------------------


def encodec_weights(model: EncodecCodec, weights: Weights) -> Weights:
    """State dict for ``model`` from transformers' folded weights; KeyError names one that is missing."""
    state = dict(_seanet_weights(model.encoder, "encoder", weights))
    state |= _seanet_weights(model.decoder, "decoder", weights)
    for k in range(len(model.codebook_sizes)):
        state[f"quantizer.levels.{k}.vectors"] = weights[f"quantizer.layers.{k}.codebook.embed"]
    return state


def mimi_weights(model: MimiCodec, weights: Weights) -> Weights:
    """State dict for ``model`` from transformers' weights; KeyError names one that is missing."""
    ours = model.config
    # A half saved by itself, or a later transformers, nests what the published checkpoint has at the top.
    nested = r"^(?:encoder|decoder)\.((?:encoder|decoder)_(?:seanet|transformer)|downsample|upsample)\."
    weights = {re.sub(r"^(\w+)_seanet\.", r"\1.", re.sub(nested, r"\1.", name)): t for name, t in weights.items()}
    state = dict(_seanet_weights(model.encoder, "encoder", weights))
    state |= _seanet_weights(model.decoder, "decoder", weights)
    for side in ("encoder_transformer", "decoder_transformer"):
        for i in range(ours.transformer_layers):
            state |= _transformer_weights(weights, f"{side}.layers.{i}")
    state["downsample.weight"] = pack_conv(weights["downsample.conv.weight"])
    stride = ours.code_stride
    # [C, 1, tap * stride + offset], where tap 0 is the current frame; ours has the frame before first.
    upsample = weights["upsample.conv.weight"].reshape(-1, 2, stride)
    state["upsample.weight"] = upsample.permute(1, 2, 0).flip(0).contiguous()
    for half, first in (("semantic", 0), ("acoustic", ours.num_semantic)):
        count = ours.num_semantic if first == 0 else len(ours.codebook_sizes) - ours.num_semantic
        theirs = f"quantizer.{half}_residual_vector_quantizer"
        if ours.code_dim != ours.dim:
            for end in ("input", "output"):
                state[f"quantizer.{half}.{end}.weight"] = weights[f"{theirs}.{end}_proj.weight"].squeeze(2)
        for k in range(count):
            usage = weights[f"{theirs}.layers.{k}.codebook.cluster_usage"].clamp(min=1e-5)
            sums = weights[f"{theirs}.layers.{k}.codebook.embed_sum"]
            state[f"quantizer.{half}.vq.levels.{k}.vectors"] = sums / usage[:, None]
    return state


def _transformer_weights(weights: Weights, layer: str) -> Iterator[tuple[str, Tensor]]:
    """One transformer layer, under our names."""
    names = {
        "attention_norm.weight": "input_layernorm.weight",
        "attention_norm.bias": "input_layernorm.bias",
        "attention.output.weight": "self_attn.o_proj.weight",
        "attention_scale": "self_attn_layer_scale.scale",
        "mlp_norm.weight": "post_attention_layernorm.weight",
        "mlp_norm.bias": "post_attention_layernorm.bias",
        "inner.weight": "mlp.fc1.weight",
        "outer.weight": "mlp.fc2.weight",
        "mlp_scale": "mlp_layer_scale.scale",
    }
    for ours, theirs in names.items():
        yield f"{layer}.{ours}", weights[f"{layer}.{theirs}"]
    yield f"{layer}.attention.qkv.weight", torch.cat([weights[f"{layer}.self_attn.{p}_proj.weight"] for p in "qkv"])


def _seanet_weights(model: Seanet, side: str, weights: Weights) -> Iterator[tuple[str, Tensor]]:
    """A SEANet's state dict. transformers numbers the layers in the same order, but counts the activations as well."""
    number = 0
    for i, layer in enumerate(model.layers):
        if isinstance(layer, (CausalConv, CausalConvTranspose)):
            number += layer.elu
            theirs, ours = f"{side}.layers.{number}.conv", f"{side}.layers.{i}"
            weight = weights[f"{theirs}.weight"]
            transposed = isinstance(layer, CausalConvTranspose)
            yield f"{ours}.weight", pack_conv_transpose(weight, layer.stride) if transposed else pack_conv(weight)
            yield f"{ours}.bias", weights[f"{theirs}.bias"]
        elif isinstance(layer, ResidualBlock):
            for ours, theirs in (("inner", "block.1"), ("outer", "block.3"), ("shortcut", "shortcut")):
                if ours != "shortcut" or layer.shortcut is not None:
                    weight = weights[f"{side}.layers.{number}.{theirs}.conv.weight"]
                    packed = pack_conv(weight) if ours == "inner" else weight.squeeze(2)
                    yield f"{side}.layers.{i}.{ours}.weight", packed
                    yield f"{side}.layers.{i}.{ours}.bias", weights[f"{side}.layers.{number}.{theirs}.conv.bias"]
        else:
            for name in layer.state_dict():
                yield f"{side}.layers.{i}.{name}", weights[f"{side}.layers.{number}.{name}"]
        number += 1

"""Opening an encoder from a Hugging Face folder or hub id, cut off behind the layer that is used."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from codectok.errors import CodectokError, FormatError
from codectok.fingerprint import fingerprint
from codectok.units.encoders import SAMPLE_RATE, SpeechEncoder
from codectok.units.families import ConvEncoder, FbankEncoder, WhisperEncoder

CONV = ("hubert", "wavlm", "wav2vec2", "data2vec-audio")
FAMILIES = (*CONV, "wav2vec2-bert", "whisper")
"""``model_type`` of the models that are known."""

# Of a model's config, what its encoder's features depend on beside the shapes of the weights.
_DECISIVE = (
    *("model_type", "do_stable_layer_norm", "feat_extract_norm", "feat_extract_activation", "hidden_act"),
    *("conv_kernel", "conv_stride", "layer_norm_eps", "num_attention_heads", "num_conv_pos_embedding_groups"),
    *("num_buckets", "max_bucket_distance", "position_embeddings_type", "left_max_position_embeddings"),
    *("right_max_position_embeddings", "conv_depthwise_kernel_size", "rotary_embedding_base"),
    *("encoder_attention_heads", "activation_function", "max_source_positions"),
)
_DECISIVE_INPUT = ("do_normalize", "feature_size", "hop_length", "n_fft", "num_mel_bins", "sampling_rate", "stride")


def load_encoder(
    name: str | os.PathLike[str],
    layer: int,
    device: str = "cpu",
    *,
    dtype: str = "float32",
    window_seconds: float | None = None,
    overlap_seconds: float = 10.0,
    tail_seconds: float | None = None,
) -> SpeechEncoder:
    """HuBERT, WavLM, wav2vec 2.0, data2vec-audio, w2v-BERT 2.0 or Whisper as a feature extractor.

    Args:
        name: a Hugging Face model folder (safetensors; a pickle is never read) or hub id.
        layer: 0 is the input to the first transformer layer, i the output of the i-th, as ``hidden_states[i]`` of
            transformers; negative numbers count from the last layer. The last is the model's own output: the final
            norm, where there is one, belongs to it only. Layers behind the chosen one are neither kept nor computed.
        device: for torch.
        dtype: "float32" or "bfloat16"; features come back as float32 in either case.
        window_seconds: longest audio run at once; default 60 s, and for Whisper the 30 s that it has positions for.
        overlap_seconds: that windows of longer audio share.
        tail_seconds: of Whisper only: see :class:`codectok.units.families.WhisperEncoder`.

    Raises:
        FormatError: no such model, an unknown family, missing weights, or another sample rate than 16 kHz.
        CodectokError: a layer or option out of range, or transformers is not installed.
    """
    if dtype not in ("float32", "bfloat16"):
        raise CodectokError(f"dtype is {dtype!r}: give float32 or bfloat16")
    model, config, extractor = _pretrained(str(name))
    kind = config.model_type
    if kind == "whisper":
        model = model.get_encoder()
    stack = model if kind == "whisper" else model.encoder
    num_layers = len(stack.layers)
    if not -num_layers - 1 <= layer <= num_layers:
        raise CodectokError(f"layer {layer} of {name}: give 0 to {num_layers}, or -1 to {-num_layers - 1} from the end")
    layer = layer if layer >= 0 else num_layers + 1 + layer
    _cut(model, stack, layer, final_norm=kind == "whisper" or getattr(config, "do_stable_layer_norm", False))

    options: dict[str, Any] = {"extractor": extractor}
    hop, longest = 320, math.inf
    if kind in CONV:
        hop = math.prod(config.conv_stride)
        strides = [math.prod(config.conv_stride[:i]) for i in range(len(config.conv_stride))]
        field = 1 + sum((k - 1) * s for k, s in zip(config.conv_kernel, strides, strict=True))
        options = {"hop": hop, "receptive_field": field, "do_normalize": bool(extractor.do_normalize)}
    elif kind == "whisper":
        longest = config.max_source_positions
        options["tail_seconds"] = tail_seconds
    if tail_seconds is not None and (kind != "whisper" or tail_seconds < 0):
        raise CodectokError("tail_seconds is for Whisper, and 0 or more: leave it out")
    frames = round((window_seconds or 60.0) * SAMPLE_RATE / hop)
    if window_seconds is None:
        frames = int(min(frames, longest))
    overlap = round(overlap_seconds * SAMPLE_RATE / hop)
    if not 0 <= overlap < frames <= longest:
        limit = f", at most {longest * hop / SAMPLE_RATE:g} s" if kind == "whisper" else ""
        raise CodectokError(f"windows must be longer than their overlap of {overlap_seconds:g} s{limit}")

    facts = {k: getattr(config, k) for k in _DECISIVE if hasattr(config, k)}
    facts |= {k: getattr(extractor, k) for k in _DECISIVE_INPUT if hasattr(extractor, k)}
    facts |= {"layer": layer, "window_frames": frames, "overlap_frames": overlap, "tail_seconds": tail_seconds}
    family = ConvEncoder if kind in CONV else WhisperEncoder if kind == "whisper" else FbankEncoder
    return family(
        model,
        dim=getattr(config, "d_model", None) or config.hidden_size,
        layer=layer,
        fingerprint=fingerprint(json.loads(json.dumps(facts)), model.state_dict()),
        window_frames=frames,
        overlap_frames=overlap,
        device=device,
        dtype=dtype,
        **options,
    )


def _cut(model: Any, stack: Any, layer: int, final_norm: bool) -> None:
    """Drop what comes after ``layer``."""
    if layer < len(stack.layers) and final_norm:
        stack.layer_norm = nn.Identity()
    stack.layers = stack.layers[:layer]
    for behind in ("adapter", "intermediate_ffn"):
        if hasattr(model, behind):
            setattr(model, behind, None)


def _pretrained(name: str) -> tuple[Any, Any, Any]:
    """Model in float32, config and feature extractor."""
    try:
        from transformers import AutoConfig, AutoFeatureExtractor, AutoModel
    except ImportError:
        raise CodectokError("speech encoders need transformers: pip install 'codectok[units]'") from None
    try:
        config = AutoConfig.from_pretrained(name)
        if config.model_type not in FAMILIES:
            raise FormatError(f"{name} is a {config.model_type} model; known encoders are {', '.join(FAMILIES)}")
        extractor = AutoFeatureExtractor.from_pretrained(name)
        with _quiet():
            # The stored dtype is always widened, so that the fingerprint is that of the values.
            model, info = AutoModel.from_pretrained(
                name, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
    except FormatError:
        raise
    except (OSError, ValueError) as error:
        raise FormatError(f"{name} is no readable model folder or hub id: {str(error).splitlines()[0]}") from None
    # Used in training only, and missing from some checkpoints.
    missing = sorted(k for k in info["missing_keys"] if "masked_spec_embed" not in k)
    if missing or info["mismatched_keys"]:
        raise FormatError(f"{name} lacks weights ({', '.join(missing[:3]) or 'shapes differ'}): download it again")
    if extractor.sampling_rate != SAMPLE_RATE:
        raise FormatError(f"{name} was trained at {extractor.sampling_rate} Hz: choose an encoder for {SAMPLE_RATE} Hz")
    return model, config, extractor


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own progress bar and report."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()

"""Opening an encoder by name: a Hugging Face folder or hub id, or a baseline that needs no model."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from typing import Any

from codectok.errors import CodectokError
from codectok.fingerprint import fingerprint
from codectok.units.encoders.baselines import BASELINES, load_baseline
from codectok.units.encoders.conventions import Taps, resolve_layers
from codectok.units.encoders.families import ConvEncoder, FbankEncoder, PatchEncoder, WhisperEncoder
from codectok.units.encoders.pretrained import (
    CONV,
    MASKED_CONV,
    PATCHES,
    fold_weight_norm,
    has_final_norm,
    quantize_linear,
    read_config,
    read_model,
)
from codectok.units.encoders.speech_encoder import PADDINGS, SAMPLE_RATE, SpeechEncoder

DTYPES = ("float32", "bfloat16", "int8")

# Of a model's config, what its encoder's features depend on beside the shapes of the weights.
_DECISIVE = (
    *("model_type", "do_stable_layer_norm", "feat_extract_norm", "feat_extract_activation", "hidden_act"),
    *("conv_kernel", "conv_stride", "layer_norm_eps", "num_attention_heads", "num_conv_pos_embedding_groups"),
    *("num_buckets", "max_bucket_distance", "position_embeddings_type", "left_max_position_embeddings"),
    *("right_max_position_embeddings", "conv_depthwise_kernel_size", "rotary_embedding_base"),
    *("encoder_attention_heads", "activation_function", "max_source_positions"),
    *("patch_size", "time_stride", "frequency_stride"),
)
_DECISIVE_INPUT = ("do_normalize", "feature_size", "hop_length", "n_fft", "num_mel_bins", "sampling_rate", "stride")
_DECISIVE_PATCHES = ("max_length", "mean", "std")


def load_encoder(
    name: str | os.PathLike[str],
    layer: int | Sequence[int],
    device: str = "cpu",
    *,
    convention: str = "hf",
    padding: str = "hop",
    dtype: str = "float32",
    window_seconds: float | None = None,
    overlap_seconds: float | None = None,
    tail_seconds: float | None = None,
    batch_seconds: float | None = None,
) -> SpeechEncoder:
    """A speech model, or a baseline, as a feature extractor.

    HuBERT, WavLM, wav2vec 2.0 (XLS-R, MMS), data2vec-audio, UniSpeech (-SAT), wav2vec 2.0 Conformer, w2v-BERT 2.0, the
    Whisper encoder and the audio spectrogram transformer (AST).

    Args:
        name: a Hugging Face model folder (safetensors; a pickle is never read) or hub id, or "logmel" or "mfcc".
        layer: one, or several whose features come side by side; numbered as ``convention`` says, negative numbers
            counting from the last. Layers above the highest are neither read nor computed. Of the baselines: 0.
        device: for torch.
        convention: "hf", "fairseq" or "pre-residual": see :data:`codectok.units.encoders.conventions.CONVENTIONS`.
        padding: "hop" for ``ceil(S / hop)`` frames, "none" for the frames that published units were made with: see
            :class:`codectok.units.encoders.speech_encoder.SpeechEncoder`. Whisper knows "hop" only.
        dtype: "float32", "bfloat16" or (CPU) "int8"; features come back as float32 in any case.
        window_seconds: longest audio run at once; default 60 s, and what the model has positions for where that is
            less (Whisper: 30 s).
        overlap_seconds: that windows of longer audio share; default 10 s, and for AST a third of a window.
        tail_seconds: of Whisper only: see :class:`codectok.units.encoders.families.WhisperEncoder`.
        batch_seconds: see :class:`codectok.units.encoders.speech_encoder.SpeechEncoder`.

    Raises:
        FormatError: no such model, an unknown family, missing weights, or another sample rate than 16 kHz.
        CodectokError: a layer or option out of range, or transformers is not installed.
    """
    name = str(name)
    if dtype not in DTYPES or (dtype == "int8" and not device.startswith("cpu")):
        raise CodectokError(f"dtype is {dtype!r}: give float32, bfloat16, or on a CPU int8")
    if padding not in PADDINGS:
        raise CodectokError(f"padding is {padding!r}: give one of {', '.join(PADDINGS)}")
    shared: dict[str, Any] = {"device": device, "dtype": dtype, "batch_seconds": batch_seconds}
    given: dict[str, Any] = {"name": name, "layer": layer, "convention": convention, "padding": padding, "dtype": dtype}
    given |= {"window_seconds": window_seconds, "overlap_seconds": overlap_seconds, "tail_seconds": tail_seconds}
    if name in BASELINES:
        return load_baseline(given, shared)
    try:
        import transformers  # noqa: F401
    except ImportError:
        raise CodectokError("speech encoders need transformers: pip install 'codectok[units]'") from None

    config, num_layers = read_config(name)
    kind = config.model_type
    if kind == "whisper" and padding != "hop":
        raise CodectokError("Whisper's audio is always followed by silence: leave padding out, or choose tail_seconds")
    if tail_seconds is not None and (kind != "whisper" or tail_seconds < 0):
        raise CodectokError("tail_seconds is for Whisper, and 0 or more: leave it out")
    layers = resolve_layers(layer, num_layers, convention, name)
    found = read_model(name, config, max(layers), final_norm=convention == "hf" and max(layers) == num_layers)
    family, options, hop, longest = _family(found, tail_seconds)
    if overlap_seconds is None:
        overlap_seconds = 10.0 if kind != PATCHES else longest * hop / SAMPLE_RATE / 3
    frames, overlap = _window_sizes(hop, longest, window_seconds, overlap_seconds)

    facts = {k: getattr(config, k) for k in _DECISIVE if hasattr(config, k)}
    facts |= {k: getattr(found.extractor, k) for k in _DECISIVE_INPUT if hasattr(found.extractor, k)}
    if kind == PATCHES:
        facts |= {k: getattr(found.extractor, k) for k in _DECISIVE_PATCHES}
    facts |= {"layer": layers[0] if len(layers) == 1 else list(layers)}
    facts |= {"window_frames": frames, "overlap_frames": overlap, "tail_seconds": tail_seconds}
    # Left out where they are the default, so that fingerprints from before there was a choice stay what they were.
    unnormed = convention == "fairseq" and num_layers in layers and has_final_norm(config)
    if convention == "pre-residual" or unnormed:
        facts["convention"] = convention
    if padding != "hop":
        facts["padding"] = padding
    mark = fingerprint(json.loads(json.dumps(facts)), found.model.state_dict())

    fold_weight_norm(found.model)
    model = quantize_linear(found.model) if dtype == "int8" else found.model
    given["layer"] = list(layers) if len(layers) > 1 else layers[0]
    return family(
        model,
        layer_dim=getattr(config, "d_model", None) or config.hidden_size,
        layers=layers,
        taps=Taps(found.blocks, layers, convention),
        convention=convention,
        padding=padding,
        given=given,
        fingerprint=mark,
        window_frames=frames,
        overlap_frames=overlap,
        **shared,
        **options,
    )


def _family(found: Any, tail_seconds: float | None) -> tuple[Any, dict[str, Any], int, float]:
    """The class for a model, its own options, its hop and its longest window in frames."""
    config, extractor = found.config, found.extractor
    kind = config.model_type
    if kind in CONV:
        hop = math.prod(config.conv_stride)
        strides = [math.prod(config.conv_stride[:i]) for i in range(len(config.conv_stride))]
        field = 1 + sum((k - 1) * s for k, s in zip(config.conv_kernel, strides, strict=True))
        options = {"hop": hop, "receptive_field": field, "do_normalize": bool(extractor.do_normalize)}
        return ConvEncoder, options | {"maskable": kind in MASKED_CONV}, hop, math.inf
    if kind == "whisper":
        options = {"extractor": extractor, "tail_seconds": tail_seconds}
        return WhisperEncoder, options, WhisperEncoder.hop, config.max_source_positions
    if kind == PATCHES:
        patch, stride = config.patch_size, config.time_stride
        columns = (config.max_length - patch) // stride + 1
        rows = (config.num_mel_bins - patch) // config.frequency_stride + 1
        options = {"extractor": extractor, "rows": rows, "columns": columns, "stride": stride, "patch": patch}
        return PatchEncoder, options, 160 * stride, columns
    return FbankEncoder, {"extractor": extractor}, FbankEncoder.hop, math.inf


def _window_sizes(hop: int, longest: float, window_seconds: float | None, overlap_seconds: float) -> tuple[int, int]:
    """Frames of a window, and of the overlap of two."""
    frames = round((window_seconds or 60.0) * SAMPLE_RATE / hop)
    if window_seconds is None:
        frames = int(min(frames, longest))
    overlap = round(overlap_seconds * SAMPLE_RATE / hop)
    if not 0 <= overlap < frames <= longest:
        limit = f", at most {longest * hop / SAMPLE_RATE:g} s" if math.isfinite(longest) else ""
        raise CodectokError(f"windows must be longer than their overlap of {overlap_seconds:g} s{limit}")
    return frames, overlap

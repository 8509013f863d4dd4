"""Opening the speech encoders that transformers knows: entries of the kind ``encoder_types``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from codectok.errors import CodectokError
from codectok.extras import need
from codectok.fingerprint import fingerprint
from codectok.units.encoders.conventions import Taps, resolve_layers
from codectok.units.encoders.families import ConvEncoder, FbankEncoder, PatchEncoder, WhisperEncoder
from codectok.units.encoders.options import EncoderOptions
from codectok.units.encoders.pretrained import (
    MASKED_CONV,
    Pretrained,
    fold_weight_norm,
    has_final_norm,
    quantize_linear,
    read_config,
    read_model,
)
from codectok.units.encoders.speech_encoder import SAMPLE_RATE, SpeechEncoder

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

Build = Callable[[Pretrained, EncoderOptions], tuple[Callable[..., SpeechEncoder], dict[str, Any], int, float]]
"""What a family makes of a model: the class, its own options, its hop and its longest window in frames."""


def open_conv(options: EncoderOptions) -> SpeechEncoder:
    """Strided convolutions on the samples, then a transformer."""
    return _open(options, _conv)


def open_fbank(options: EncoderOptions) -> SpeechEncoder:
    """w2v-BERT 2.0: mel filterbank frames, two of them side by side, then conformer blocks."""
    return _open(options, _fbank)


def open_whisper(options: EncoderOptions) -> SpeechEncoder:
    """The encoder of Whisper: mel frames, two convolutions, then a transformer over windows of 30 s."""
    if options.padding != "hop":
        raise CodectokError("Whisper's audio is always followed by silence: leave padding out, or choose tail_seconds")
    return _open(options, _whisper)


def open_patches(options: EncoderOptions) -> SpeechEncoder:
    """The audio spectrogram transformer (AST): patches of a mel spectrogram."""
    return _open(options, _patches, overlap_share=1 / 3)


def _conv(found: Pretrained, options: EncoderOptions) -> Any:
    config = found.config
    hop = math.prod(config.conv_stride)
    strides = [math.prod(config.conv_stride[:i]) for i in range(len(config.conv_stride))]
    field = 1 + sum((k - 1) * s for k, s in zip(config.conv_kernel, strides, strict=True))
    own = {"hop": hop, "receptive_field": field, "do_normalize": bool(found.extractor.do_normalize)}
    own |= {"maskable": config.model_type in MASKED_CONV, "trainable": options.trainable}
    return ConvEncoder, own, hop, math.inf


def _fbank(found: Pretrained, options: EncoderOptions) -> Any:
    return FbankEncoder, {"extractor": found.extractor}, FbankEncoder.hop, math.inf


def _whisper(found: Pretrained, options: EncoderOptions) -> Any:
    own = {"extractor": found.extractor, "tail_seconds": options.tail_seconds}
    return WhisperEncoder, own, WhisperEncoder.hop, found.config.max_source_positions


def _patches(found: Pretrained, options: EncoderOptions) -> Any:
    config = found.config
    patch, stride = config.patch_size, config.time_stride
    columns = (config.max_length - patch) // stride + 1
    rows = (config.num_mel_bins - patch) // config.frequency_stride + 1
    own = {"extractor": found.extractor, "rows": rows, "columns": columns, "stride": stride, "patch": patch}
    return PatchEncoder, own, 160 * stride, columns


def _open(options: EncoderOptions, build: Build, overlap_share: float | None = None) -> SpeechEncoder:
    """Read the model and make the encoder; ``overlap_share`` of a window is the default overlap, else 10 s."""
    need("speech encoders need", "units", "transformers")
    name, convention, tail_seconds = options.name, options.convention, options.tail_seconds
    config, num_layers = read_config(name)
    if tail_seconds is not None and (build is not _whisper or tail_seconds < 0):
        raise CodectokError("tail_seconds is for Whisper, and 0 or more: leave it out")
    layers = resolve_layers(options.layer, num_layers, convention, name)
    found = read_model(name, config, max(layers), final_norm=convention == "hf" and max(layers) == num_layers)
    family, own, hop, longest = build(found, options)
    overlap_seconds = options.overlap_seconds
    if overlap_seconds is None:
        overlap_seconds = 10.0 if overlap_share is None else overlap_share * longest * hop / SAMPLE_RATE
    frames, overlap = _window_sizes(hop, longest, options.window_seconds, overlap_seconds)

    facts = {k: getattr(config, k) for k in _DECISIVE if hasattr(config, k)}
    facts |= {k: getattr(found.extractor, k) for k in _DECISIVE_INPUT if hasattr(found.extractor, k)}
    if build is _patches:
        facts |= {k: getattr(found.extractor, k) for k in _DECISIVE_PATCHES}
    facts |= {"layer": layers[0] if len(layers) == 1 else list(layers)}
    facts |= {"window_frames": frames, "overlap_frames": overlap, "tail_seconds": tail_seconds}
    # Left out where they are the default, so that fingerprints from before there was a choice stay what they were.
    unnormed = convention == "fairseq" and num_layers in layers and has_final_norm(config)
    if convention == "pre-residual" or unnormed:
        facts["convention"] = convention
    if options.padding != "hop":
        facts["padding"] = options.padding
    mark = fingerprint(json.loads(json.dumps(facts)), found.model.state_dict())

    fold_weight_norm(found.model)
    model = quantize_linear(found.model) if options.dtype == "int8" else found.model
    return family(
        model,
        layer_dim=getattr(config, "d_model", None) or config.hidden_size,
        layers=layers,
        taps=Taps(found.blocks, layers, convention),
        convention=convention,
        padding=options.padding,
        given=options.given(layers),
        fingerprint=mark,
        window_frames=frames,
        overlap_frames=overlap,
        **options.running(),
        **own,
    )


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

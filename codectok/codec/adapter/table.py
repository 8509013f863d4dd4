"""Which families of transformers there are, by the ``model_type`` of their configs."""

from __future__ import annotations

import importlib
from pathlib import Path

from codectok.codec.adapter.family import Family
from codectok.errors import FormatError

FAMILIES = {
    "dac": "convolutional:DacFamily",
    "encodec": "convolutional:EncodecFamily",
    "mimi": "convolutional:MimiFamily",
    "xcodec": "semantic:XcodecFamily",
    "higgs_audio_v2_tokenizer": "semantic:HiggsFamily",
    "wavtokenizer": "wavtokenizer:WavTokenizerFamily",
    "wavtokenizer_encoder": "wavtokenizer:WavTokenizerEncoderFamily",
    "xcodec2": "scalar:Xcodec2Family",
    "neucodec": "scalar:NeuCodecFamily",
}
"""``model_type`` -> module of this folder and class."""

CONTINUOUS = {
    "pocket_tts_audio_tokenizer": "PocketTTSAudioTokenizerModel",
    "vibevoice_acoustic_tokenizer": "VibeVoiceAcousticTokenizerModel",
}
"""``model_type`` -> class of what transformers calls audio tokenizers, and what gives no integers."""


def family_class(model_type: object, where: Path | str) -> type[Family]:
    """The family of a ``model_type``.

    Raises:
        FormatError: it gives continuous latents, or transformers has no audio tokenizer of that name.
    """
    there = ", ".join(FAMILIES)
    if model_type in CONTINUOUS:
        raise FormatError(
            f"{where}: {model_type} gives continuous latents, of which no code can be made: give one of {there}",
            key="model_type",
            given=model_type,
            allowed=there,
        )
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise FormatError(
            f"{where}: model_type {model_type!r} is no audio tokenizer that hf: opens ({there} are)",
            key="model_type",
            given=model_type,
            allowed=there,
        )
    module, _, name = FAMILIES[model_type].partition(":")
    found: type[Family] = getattr(importlib.import_module(f"{__package__}.{module}"), name)
    return found

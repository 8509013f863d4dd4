"""What each family's own class in transformers gives for one clip, by its public methods alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad


def _padded(model: Any, x: Tensor) -> Tensor:
    """As DacFeatureExtractor does."""
    return pad(x, (0, -x.shape[-1] % model.config.hop_length))


def _dac(model: Any, x: Tensor) -> Tensor:
    return model.encode(_padded(model, x)).audio_codes[0]


def _encodec(model: Any, x: Tensor) -> Tensor:
    return model.encode(x, bandwidth=model.config.target_bandwidths[-1]).audio_codes[0, 0]


def _plain(model: Any, x: Tensor) -> Tensor:
    return model.encode(x).audio_codes[0]


def _decode(model: Any, codes: Tensor) -> Tensor:
    return model.decode(audio_codes=codes[None]).audio_values.flatten()


def _decode_encodec(model: Any, codes: Tensor) -> Tensor:
    return model.decode(codes[None, None], [None]).audio_values.flatten()


def _mel(model: Any, x: Tensor) -> Tensor:
    """As Xcodec2FeatureExtractor and NeuCodecFeatureExtractor do, by the filterbank that the first release had."""
    from transformers import SeamlessM4TFeatureExtractor

    neu = model.config.model_type == "neucodec"
    hop = model.config.encoder_hop_length if neu else model.config.hop_length
    x = pad(x, (0, 1))
    x = pad(x, (0, -x.shape[-1] % hop))
    heard = x if neu else pad(x, (hop // 2, hop // 2))
    given = SeamlessM4TFeatureExtractor()(heard[0, 0].numpy(), sampling_rate=16000, return_tensors="pt")
    keys = {"input_features": given.input_features, "input_features_mask": given.attention_mask}
    return model.encode(x, **keys).audio_codes[0]


ENCODE: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "dac": _dac,
    "encodec": _encodec,
    "xcodec": _dac,
    "higgs_audio_v2_tokenizer": _dac,
    "xcodec2": _mel,
    "neucodec": _mel,
}
DECODE: dict[str, Callable[[Any, Tensor], Tensor]] = {"encodec": _decode_encodec}


@torch.no_grad()
def own_codes(kind: str, model: Any, samples: Tensor) -> Tensor:
    """Codes [K, T] of samples [1, 1, S]."""
    return ENCODE.get(kind, _plain)(model, samples)


@torch.no_grad()
def own_audio(kind: str, model: Any, codes: Tensor) -> Tensor:
    """Samples [S] of codes [K, T], as many as the model gives."""
    return DECODE.get(kind, _decode)(model, codes)

"""Tiny random encoders of every family, saved as Hugging Face folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

LAYERS = 3


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Not quite centred, so that a normalisation shows."""
    return np.random.default_rng(seed).normal(0.01, 0.1, samples).astype(np.float32)


_CONV: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
_LARGE: dict[str, Any] = {**_CONV, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def _conv(name: str, options: dict[str, Any], do_normalize: bool) -> tuple[Any, Any]:
    config = getattr(transformers, f"{name}Config")(**options)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize)
    return getattr(transformers, f"{name}Model")(config), extractor


def _ast() -> tuple[Any, Any]:
    config = transformers.ASTConfig(
        hidden_size=16,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=24,
        num_mel_bins=36,
        max_length=126,
    )
    return transformers.ASTModel(config), transformers.ASTFeatureExtractor(num_mel_bins=36, max_length=126)


def _bert() -> tuple[Any, Any]:
    config = transformers.Wav2Vec2BertConfig(
        hidden_size=16,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=24,
        feature_projection_input_dim=160,
        left_max_position_embeddings=8,
        right_max_position_embeddings=4,
        conv_depthwise_kernel_size=7,
    )
    return transformers.Wav2Vec2BertModel(config), transformers.SeamlessM4TFeatureExtractor()


def _whisper() -> tuple[Any, Any]:
    config = transformers.WhisperConfig(
        d_model=16,
        encoder_layers=LAYERS,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        vocab_size=50,
        num_mel_bins=80,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    return transformers.WhisperModel(config), transformers.WhisperFeatureExtractor()


MAKERS = {
    "hubert-base": lambda: _conv("Hubert", _CONV, True),
    "hubert-large": lambda: _conv("Hubert", _LARGE, True),
    "wavlm-base": lambda: _conv("WavLM", _CONV, False),
    "wavlm-large": lambda: _conv("WavLM", _LARGE, True),
    "wav2vec2-base": lambda: _conv("Wav2Vec2", _CONV, True),
    "wav2vec2-large": lambda: _conv("Wav2Vec2", _LARGE, True),
    "data2vec": lambda: _conv("Data2VecAudio", {**_CONV, "num_conv_pos_embeddings": 3}, True),
    "conformer": lambda: _conv("Wav2Vec2Conformer", {**_LARGE, "conv_depthwise_kernel_size": 7}, True),
    "w2v-bert": _bert,
    "whisper": _whisper,
}
OTHERS = {
    "unispeech-sat": lambda: _conv("UniSpeechSat", _CONV, True),
    "ast": _ast,
}
"""Whose frames or attributes differ, or which are as others are."""


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model folder of each family."""
    root, found = tmp_path_factory.mktemp("encoders"), {}
    for name, make in (MAKERS | OTHERS).items():
        torch.manual_seed(0)
        model, extractor = make()
        with torch.no_grad():
            for p in model.parameters():  # biases start at zero and norms at one, which would hide a missing one
                p.add_(0.1 * torch.randn_like(p))
        model.save_pretrained(root / name)
        extractor.save_pretrained(root / name)
        found[name] = root / name
    return found

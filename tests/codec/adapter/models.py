"""Small random models of every family, with weights on which mistakes show and codebooks in use."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from codectok.testing import voice
from tests.codec.peers import encodec_peer, mimi_peer


def dac() -> Any:
    """44.1 kHz with an odd stride, so that the decoder gives too few samples."""
    from transformers import DacConfig, DacModel

    torch.manual_seed(0)
    config = DacConfig(
        encoder_hidden_size=4,
        decoder_hidden_size=64,
        downsampling_ratios=[2, 4, 5, 8],
        n_codebooks=4,
        codebook_size=64,
        codebook_dim=4,
        sampling_rate=24000,
    )
    return settled(DacModel(config))


def encodec(**options: Any) -> Any:
    """24 kHz, 4 codebooks of 64."""
    from transformers import EncodecConfig

    small = {"num_filters": 4, "hidden_size": 16, "codebook_dim": 16, "codebook_size": 64}
    return encodec_peer(EncodecConfig(**small, target_bandwidths=[0.9, 1.8], **options))


def mimi(**options: Any) -> Any:
    """24 kHz, one semantic codebook and three others of 64."""
    from transformers import MimiConfig

    small = {"hidden_size": 32, "num_filters": 4, "codebook_size": 64, "codebook_dim": 16, "num_quantizers": 4}
    small |= {"vector_quantization_hidden_dimension": 16, "upsample_groups": 32, "num_hidden_layers": 2}
    small |= {"intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 8}
    return mimi_peer(MimiConfig(**(small | {"sliding_window": 20} | options)))


def hubert() -> dict[str, Any]:
    """Config of a small HuBERT with group norm over time."""
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return small | {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}


def xcodec() -> Any:
    """16 kHz, 4 codebooks of 64."""
    from transformers import DacConfig, HubertConfig, XcodecConfig, XcodecModel

    acoustic = DacConfig(encoder_hidden_size=2, decoder_hidden_size=32, downsampling_ratios=[8, 5, 4, 2])
    acoustic.hidden_size = 16
    config = XcodecConfig(
        acoustic_model_config=acoustic.to_dict(),
        semantic_model_config=HubertConfig(**hubert()).to_dict(),
        codebook_size=64,
        target_bandwidths=[0.6, 1.2],
    )
    return _semantic(XcodecModel(config))


def higgs() -> Any:
    """24 kHz, its HuBERT at 16 kHz: 4 codebooks of 64 at 25 Hz."""
    from transformers import DacConfig, HiggsAudioV2TokenizerConfig, HubertConfig

    acoustic = DacConfig(encoder_hidden_size=2, decoder_hidden_size=64, downsampling_ratios=[8, 5, 4, 2, 3])
    acoustic.hidden_size = 16
    config = HiggsAudioV2TokenizerConfig(
        acoustic_model_config=acoustic.to_dict(),
        semantic_model_config=HubertConfig(**hubert()).to_dict(),
        codebook_size=64,
        codebook_dim=8,
        target_bandwidths=[0.3, 0.6],
    )
    return _semantic(higgs_class()(config))


@torch.no_grad()
def _semantic(model: Any) -> Any:
    torch.manual_seed(0)
    settled(model.acoustic_encoder)
    settled(model.acoustic_decoder)
    settled(model.encoder_semantic, 0.6)
    for linear in (model.fc, model.fc2):
        linear.weight.normal_(std=linear.in_features**-0.5)
    for weight in model.semantic_model.parameters():
        weight.add_(0.1 * torch.randn_like(weight))
    for layer in model.quantizer.quantizers:
        if hasattr(layer, "project_in"):
            torch.nn.init.orthogonal_(layer.project_in.weight)
            layer.project_out.weight.copy_(layer.project_in.weight.T)
    model.eval()
    x = clip(2 * model.config.sample_rate, model.config.sample_rate, 9)
    found: list[Tensor] = []
    with model.fc.register_forward_hook(lambda *given: found.append(given[2])):
        model.encode(x)
    fit_codebooks(list(model.quantizer.quantizers), found[0][0])
    return model


def wavtokenizer() -> Any:
    """24 kHz, one codebook of 64 at 40 Hz."""
    from transformers import WavTokenizerConfig, WavTokenizerModel

    torch.manual_seed(0)
    small = {"num_filters": 4, "hidden_size": 16, "codebook_dim": 16, "codebook_size": 64, "decoder_hidden_size": 32}
    model = WavTokenizerModel(WavTokenizerConfig(**small, decoder_num_layers=2, decoder_attention_num_groups=8)).eval()
    _heard(model.encoder_model, model.config.sampling_rate)
    return model


def wavtokenizer_encoder() -> Any:
    """The same without its decoder."""
    return wavtokenizer().encoder_model


@torch.no_grad()
def _heard(half: Any, rate: int) -> None:
    for name, tensor in half.named_parameters():
        if name.endswith("original0"):
            tensor.mul_(1.8)
    fit_codebooks([half.quantizer], half.encoder(clip(3 * rate, rate, 9))[0].T)


def xcodec2() -> Any:
    """16 kHz, one codebook of 4 ** 4."""
    from transformers import Xcodec2Config, Xcodec2Model

    return _scalar(Xcodec2Model(Xcodec2Config(**scalar())))


def neucodec() -> Any:
    """16 kHz to 24 kHz, one codebook of 4 ** 4."""
    from transformers import NeuCodecConfig, NeuCodecModel

    return _scalar(NeuCodecModel(NeuCodecConfig(**scalar())))


def scalar() -> dict[str, Any]:
    """Config of a small X-Codec 2."""
    from transformers import Wav2Vec2BertConfig

    bert = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4}
    small |= {"intermediate_size": 48, "head_dim": 8, "encoder_hidden_size": 2, "quantization_dim": 80}
    semantic = Wav2Vec2BertConfig(**bert).to_dict()
    return small | {"semantic_model_config": semantic, "quantization_levels": [4, 4, 4, 4]}


@torch.no_grad()
def _scalar(model: Any) -> Any:
    torch.manual_seed(0)
    settled(model.acoustic_encoder)
    for linear in (model.fc_encoder, model.quantizer.project_in, model.quantizer.project_out):
        linear.weight.normal_(std=1.5 * linear.in_features**-0.5)
    return model.eval()


MODELS: dict[str, Callable[..., Any]] = {
    "dac": dac,
    "encodec": encodec,
    "mimi": mimi,
    "xcodec": xcodec,
    "higgs_audio_v2_tokenizer": higgs,
    "wavtokenizer": wavtokenizer,
    "wavtokenizer_encoder": wavtokenizer_encoder,
    "xcodec2": xcodec2,
    "neucodec": neucodec,
}
"""``model_type`` -> a model in evaluation mode."""


def kinds(*fast: str) -> list[Any]:
    """Every ``model_type`` as a parameter, slow but for some."""
    return [kind if kind in fast else pytest.param(kind, marks=pytest.mark.slow) for kind in sorted(MODELS)]


def higgs_class() -> Any:
    """Its module imports torchaudio for resampling alone; where that has no wheel, it is given the same formula."""
    path = "transformers.models.higgs_audio_v2_tokenizer.modeling_higgs_audio_v2_tokenizer"
    if path not in sys.modules and find_spec("torchaudio") is None:
        stand_in, functional = ModuleType("torchaudio"), ModuleType("torchaudio.functional")
        stand_in.functional, functional.resample = functional, resample  # type: ignore[attr-defined]
        sys.modules["torchaudio"] = stand_in
        try:
            importlib.import_module(path)
        finally:
            del sys.modules["torchaudio"]
    return importlib.import_module(path).HiggsAudioV2TokenizerModel


def resample(x: Tensor, rate: int, to: int) -> Tensor:
    """torchaudio's default: a windowed sinc of six zero crossings to either side; [..., S] -> [..., S * to / rate]."""
    divisor = math.gcd(rate, to)
    old, new = rate // divisor, to // divisor
    cut = min(old, new) * 0.99
    width = math.ceil(6 * old / cut)
    taps = torch.arange(-width, width + old, dtype=torch.float64) / old
    times = ((torch.arange(0, -new, -1, dtype=torch.float64)[:, None] / new + taps) * cut).clamp(-6, 6)
    kernels = torch.cos(times * math.pi / 12) ** 2 * torch.sinc(times) * (cut / old)
    padded = torch.nn.functional.pad(x.flatten(0, -2), (width, width + old))
    made = torch.nn.functional.conv1d(padded[:, None], kernels.to(x)[:, None], stride=old)
    made = made.mT.reshape(len(padded), -1)[:, : math.ceil(x.shape[-1] * new / old)]
    return made.reshape(*x.shape[:-1], -1)


@torch.no_grad()
def settled(model: nn.Module, gain: float = 0.85) -> nn.Module:
    """Convolutions that keep the level of what they are given: fresh ones give nearly constant latents."""
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            inputs = module.weight[0].numel() if isinstance(module, nn.Conv1d) else module.weight[:, 0].numel()
            module.weight.normal_(std=gain * inputs**-0.5)
            if module.bias is not None:
                module.bias.normal_(std=0.01)
    return model.eval()


@torch.no_grad()
def fit_codebooks(codebooks: list[nn.Module], latents: Tensor) -> None:
    """Euclidean codebooks of a residual quantizer, drawn amid latents [T, D]."""
    generator = torch.Generator().manual_seed(1)
    for layer in codebooks:
        book = layer.codebook
        inside = layer.project_in(latents) if hasattr(layer, "project_in") else latents
        chosen = inside[torch.randint(len(inside), (book.codebook_size,), generator=generator)]
        book.embed.copy_(chosen + 0.05 * inside.std(0) * torch.randn(chosen.shape, generator=generator))
        latents = latents - layer.decode(layer.encode(latents.T[None]))[0].T


def saved(kind: str, folder: Path, **options: Any) -> Any:
    """The model of a ``model_type``, saved as ``config.json`` and ``model.safetensors`` alone."""
    model = MODELS[kind](**options)
    model.save_pretrained(folder)
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors"}
    return model


def clip(num_samples: int, rate: int, seed: int = 0) -> Tensor:
    """Voice-like samples [1, 1, S]."""
    return torch.from_numpy(voice(num_samples, rate, seed))[None, None]

"""Small random models of every family, with weights on which mistakes show and codebooks in use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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


MODELS: dict[str, Callable[..., Any]] = {"dac": dac, "encodec": encodec, "mimi": mimi}
"""``model_type`` -> a model in evaluation mode."""


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

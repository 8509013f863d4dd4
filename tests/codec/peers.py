"""transformers' EnCodec and Mimi with random weights on which mistakes show, and comparisons with them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import EncodecConfig, EncodecModel, MimiConfig, MimiModel

from codectok.codec.encodec import EncodecCodec
from codectok.codec.hf import fold_weight_norm
from codectok.codec.hf_names import encodec_config, encodec_weights, mimi_config, mimi_weights
from codectok.codec.mimi import MimiCodec


def audio(num_samples: int, seed: int = 0, batch: int = 1) -> Tensor:
    """Coloured noise with a changing envelope, float32 [batch, num_samples]."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(batch, num_samples, generator=generator)
    times = torch.arange(num_samples) / 24000
    envelope = 0.2 + torch.sin(2 * torch.pi * (2 + seed % 3) * times).square()
    tone = torch.sin(2 * torch.pi * (150 + 40 * torch.sin(5 * times)) * times)
    return 0.3 * envelope * (tone + 0.5 * noise)


@torch.no_grad()
def encodec_peer(config: EncodecConfig, seed: int = 0) -> EncodecModel:
    """A transformers EnCodec whose layers keep the signal's level, with codebooks in use."""
    torch.manual_seed(seed)
    peer = EncodecModel(config).eval()
    for name, tensor in peer.named_parameters():
        if name.endswith("original0"):
            tensor.mul_(1.8)
    residual = peer.encoder(audio(_enough(peer), 9)[:, None])[0].T
    for layer in peer.quantizer.layers:
        layer.codebook.embed.copy_(_around(residual, len(layer.codebook.embed)))
        residual = residual - layer.decode(layer.codebook.encode(residual)[None])[0].T
    return peer


@torch.no_grad()
def mimi_peer(config: MimiConfig, seed: int = 0) -> MimiModel:
    """A transformers Mimi whose transformers matter, with codebooks in use."""
    torch.manual_seed(seed)
    peer = MimiModel(config).eval()
    for name, tensor in peer.named_parameters():
        if name.endswith("_layer_scale.scale"):
            tensor.copy_(0.2 + 0.1 * torch.randn(tensor.shape))
        elif "self_attn.q_proj" in name or "self_attn.k_proj" in name:
            tensor.mul_(3.0)
    latents = peer.encoder(audio(_enough(peer), 9)[:, None]).latents
    for half in (peer.quantizer.semantic_residual_vector_quantizer, peer.quantizer.acoustic_residual_vector_quantizer):
        residual = (latents if half.input_proj is None else half.input_proj(latents))[0].T
        for layer in half.layers:
            codebook = layer.codebook
            codebook.cluster_usage.uniform_(0.5, 2.0)
            codebook.embed_sum.copy_(_around(residual, codebook.codebook_size) * codebook.cluster_usage[:, None])
            codebook._embed = None
            residual = residual - codebook.decode(codebook.encode(residual))
    return peer


def _enough(peer: EncodecModel | MimiModel) -> int:
    """Samples for some hundred frames at the feature rate."""
    return 225 * math.prod(peer.config.upsampling_ratios or [])


def _around(vectors: Tensor, count: int) -> Tensor:
    return vectors.mean(0) + vectors.std(0) * torch.randn(count, vectors.shape[1])


def our_encodec(peer: EncodecModel) -> EncodecCodec:
    """The same EnCodec in our class, converted in memory."""
    model = EncodecCodec(encodec_config(peer.config.to_dict()))
    model.load_state_dict(encodec_weights(model, fold_weight_norm(peer.state_dict())))
    return model.eval()


def our_mimi(peer: MimiModel) -> MimiCodec:
    """The same Mimi in our class, converted in memory."""
    model = MimiCodec(mimi_config(peer.config.to_dict()))
    model.load_state_dict(mimi_weights(model, fold_weight_norm(peer.state_dict())))
    return model.eval()


def error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference relative to the spread of ``theirs``."""
    assert ours.shape == theirs.shape
    scale = theirs.abs().max() if theirs.numel() < 2 else theirs.std()
    return ((ours - theirs).abs().max() / scale).item()


def count_ties(ours: Tensor, theirs: Tensor, parts: list[tuple[Tensor, list[Tensor]]]) -> int:
    """Compare codes [K, T]; every frame that differs must do so by a tie at its first differing level.

    Args:
        ours: codes.
        theirs: codes.
        parts: for each residual quantizer, what it quantizes [T, D] and its codebooks [size, D].

    Returns:
        How many frames of a quantizer differ.
    """
    assert ours.shape == theirs.shape
    ties, first = 0, 0
    for vectors, codebooks in parts:
        a, b = ours[first : first + len(codebooks)], theirs[first : first + len(codebooks)]
        first += len(codebooks)
        for t in (a != b).any(0).nonzero().flatten().tolist():
            level = int((a[:, t] != b[:, t]).nonzero()[0])
            residual = vectors[t].double()
            for k in range(level):
                residual = residual - codebooks[k][a[k, t]].double()
            one, two = ((residual - codebooks[level][int(c[level, t])].double()).square().sum().item() for c in (a, b))
            assert abs(one - two) < 1e-4 * max(one, two), f"frame {t}, level {level}: distances {one} and {two}"
            ties += 1
    return ties


def in_blocks(step: Any, x: Tensor, sizes: list[int]) -> Tensor:
    """Feed [B, N, ...] to a codec's step in blocks of these sizes (the last one repeats), then the rest as final."""
    state, start, parts, i = None, 0, [], 0
    while x.shape[1] - start > sizes[min(i, len(sizes) - 1)]:
        size = sizes[min(i, len(sizes) - 1)]
        out, state = step(x[:, start : start + size], state, False)
        parts.append(out)
        start, i = start + size, i + 1
    out, _ = step(x[:, start:], state, True)
    return torch.cat([*parts, out], 1)


def levels(quantizer: nn.Module) -> list[Tensor]:
    """The codebooks [size, D] of one of our residual quantizers."""
    return [level.vectors for level in quantizer.levels]  # type: ignore[union-attr]

"""Mimi (Moshi, Defossez et al. 2024): causal SEANet, transformers on either side, and a split quantizer at 12.5 Hz."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from codectok.codec.conv import CausalConv
from codectok.codec.model import CodecModel, State
from codectok.codec.rvq import ResidualVQ
from codectok.codec.seanet import SeanetConfig, seanet_decoder, seanet_encoder
from codectok.codec.split_rvq import SplitResidualVQ
from codectok.codec.transformer import CausalTransformer
from codectok.settings.kinds import Count, Natural, NotNegative, Positive


@dataclass
class MimiCodecConfig(SeanetConfig):
    """Shape of a :class:`MimiCodec`; the defaults are those of kyutai/mimi."""

    dim: Count = 512
    filters: Count = 64
    ratios: list[Count] = field(default_factory=lambda: [8, 6, 5, 4])
    last_kernel: Count = 3
    conv_shortcut: bool = False
    lstm_layers: Natural = 0
    pad_mode: Literal["constant", "reflect", "replicate"] = "constant"
    code_stride: Count = 2
    """SEANet frames a code frame."""
    transformer_layers: Count = 8
    """Layers, each side."""
    heads: Count = 8
    """Attention heads."""
    hidden: Count = 2048
    """Width of the transformers' MLPs."""
    window: Count = 250
    """Frames that attention sees, the current one included."""
    rope_theta: Positive = 10000.0
    """Base of the rotary frequencies."""
    norm_eps: NotNegative = 1e-5
    """Of the layer norms."""
    code_dim: Count = 256
    """Width of the code vectors."""
    codebook_sizes: list[Count] = field(default_factory=lambda: [2048] * 32)
    """Codes of each codebook, the semantic ones first."""
    num_semantic: Count = 1
    """Semantic codebooks."""
    search: str = "greedy"
    """How codes are searched: greedy, or beam-N; see :class:`~codectok.codec.rvq.ResidualVQ`."""


class ChannelwiseUpsample(nn.Module):
    """Transposed convolution of each channel by itself, kernel of two strides; state is the last frame [B, 1, C]."""

    def __init__(self, dim: int, stride: int) -> None:
        super().__init__()
        # [tap, offset within the stride, channel]: tap 0 weighs the frame before, tap 1 the current one.
        self.weight = nn.Parameter(torch.full((2, stride, dim), 0.5))

    def step(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """[B, T, C] -> [B, T * stride, C]."""
        if state is None:
            state = x.new_zeros(x.shape[0], 1, x.shape[2])
        joined = torch.cat([state, x], 1).unsqueeze(2)
        y = joined[:, :-1] * self.weight[0] + joined[:, 1:] * self.weight[1]
        return y.flatten(1, 2), joined[:, -1].clone()


class MimiCodec(CodecModel):
    """Encoder, split quantizer and decoder of Mimi."""

    decoder_parts = ("upsample", "decoder_transformer", "decoder")

    # Each block reads all of the transformers' weights once: shorter ones would be spent on that.
    block_seconds = 8.0
    quantizer: SplitResidualVQ
    config_class = MimiCodecConfig

    def __init__(self, config: MimiCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate, self.latent_dim = config.sample_rate, config.dim
        self.frame_size = config.hop * config.code_stride
        self.codebook_sizes = tuple(config.codebook_sizes)
        self.encoder = seanet_encoder(config)
        self.encoder_transformer = self._transformer()
        stride = config.code_stride
        self.downsample = CausalConv(config.dim, config.dim, 2 * stride, stride, pad_mode="replicate", bias=False)
        self.quantizer = SplitResidualVQ(
            config.dim, config.code_dim, config.codebook_sizes, config.num_semantic, config.search
        )
        self.upsample = ChannelwiseUpsample(config.dim, stride)
        self.decoder_transformer = self._transformer()
        self.decoder = seanet_decoder(config)
        self.first_frames = -(-max(self.encoder.first_frames, self.decoder.first_frames) // stride)

    def _transformer(self) -> CausalTransformer:
        c = self.config
        return CausalTransformer(c.dim, c.transformer_layers, c.heads, c.hidden, c.window, c.rope_theta, c.norm_eps)

    def num_frames(self, num_samples: int) -> int:
        """ceil(num_samples / frame_size)."""
        return -(-num_samples // self.frame_size)

    def residual_quantizers(self) -> list[tuple[ResidualVQ, Callable[[Tensor], Tensor]]]:
        """The semantic and the acoustic one, each of its projection of the latents."""
        return [(half.vq, half.input) for half in (self.quantizer.semantic, self.quantizer.acoustic)]

    def encode_step(self, x: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Samples [B, S] -> latents [B, T, D]; see :class:`CodecModel`."""
        conv, transformer, down = state or (None, None, None)
        y, conv = self.encoder.step(x.unsqueeze(2), conv, final)
        y, transformer = self.encoder_transformer.step(y, transformer)
        y, down = self.downsample.step(y, down, final)
        return y, (conv, transformer, down)

    def decode_step(self, z: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Quantized latents [B, T, D] -> samples [B, T * frame_size]."""
        up, transformer, conv = state or (None, None, None)
        y, up = self.upsample.step(z, up)
        y, transformer = self.decoder_transformer.step(y, transformer)
        y, conv = self.decoder.step(y, conv, final)
        return y.squeeze(2), (up, transformer, conv)

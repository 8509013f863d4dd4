"""The MDCT codec: a causal speech codec whose networks run at the frame rate only.

Samples become MDCT coefficients (one matrix product), ``fold`` frames of them side by side go through ConvNeXt blocks,
``merge`` of those make one code frame, and the way back is the same in reverse. There is no phase to predict, and
nothing runs at the sample rate: it costs a tenth of a convolutional codec.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codectok.codec.base import CodecModel, State
from codectok.codec.convnext import ConvNextStack
from codectok.codec.mdct import InverseMdct, Mdct
from codectok.codec.rvq import ResidualVQ


@dataclass
class MdctCodecConfig:
    """Shape of an :class:`MdctCodec`. Everything that changes the codes stands here."""

    sample_rate: int = 16000
    """Hz."""
    mdct_hop: int = 160
    """Samples between MDCT frames (half the window)."""
    fold: int = 2
    """MDCT frames side by side in one network frame."""
    merge: int = 2
    """Network frames merged into one code frame."""
    dim: int = 320
    """Width of the blocks at the network's frame rate."""
    depth: int = 4
    """ConvNeXt blocks at the network's frame rate, each side."""
    code_dim: int = 384
    """Width of the blocks at the code rate."""
    code_depth: int = 1
    """ConvNeXt blocks at the code rate, each side."""
    latent_dim: int = 96
    """Width of the quantized vectors."""
    codebook_sizes: list[int] = field(default_factory=lambda: [1024] * 24)
    """Codes of each level."""
    compression: float = 0.02
    """Coefficients x enter the network as asinh(x / compression) and leave as compression * sinh(y)."""


def lowest_bins(config: MdctCodecConfig) -> Tensor:
    """Selects the lowest MDCT bins of each code frame, [latent_dim, frames * mdct_hop].

    Where the linear paths around both networks start: from the first step the latents carry the waveform up to about
    1 kHz, which the networks alone took thousands of steps to find.
    """
    frames = config.fold * config.merge
    bins = config.latent_dim // frames
    weight = torch.zeros(frames, bins, frames, config.mdct_hop)
    for f in range(frames):
        weight[f, :, f, :bins] = torch.eye(bins)
    selected = weight.view(frames * bins, frames * config.mdct_hop)
    return F.pad(selected, (0, 0, 0, config.latent_dim - frames * bins))


class MdctEncoder(nn.Module):
    """Samples [B, S] to latents [B, T, latent_dim]; S a multiple of the code frame."""

    def __init__(self, config: MdctCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.mdct = Mdct(config.mdct_hop)
        self.input = nn.Linear(config.mdct_hop * config.fold, config.dim)
        self.blocks = ConvNextStack(config.dim, config.depth)
        self.merge = nn.Linear(config.dim * config.merge, config.code_dim)
        self.code_blocks = ConvNextStack(config.code_dim, config.code_depth)
        self.norm = nn.LayerNorm(config.code_dim)
        self.output = nn.Linear(config.code_dim, config.latent_dim)
        self.skip = nn.Linear(self.mdct.hop * config.fold * config.merge, config.latent_dim, bias=False)
        with torch.no_grad():
            self.skip.weight.copy_(lowest_bins(config))
            self.output.weight.mul_(0.3)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One block of samples [B, T * frame] -> latents [B, T, latent_dim]."""
        before = state or {}
        after: dict[str, State] = {}
        y, after["mdct"] = self.mdct.step(x, before.get("mdct"))
        y = torch.asinh(y / self.config.compression)
        skip = self.skip(y.reshape(y.shape[0], -1, self.skip.in_features))
        y = self.input(y.reshape(y.shape[0], -1, self.input.in_features))
        y, after["blocks"] = self.blocks.step(y, before.get("blocks"))
        y = self.merge(y.reshape(y.shape[0], -1, self.config.dim * self.config.merge))
        y, after["code_blocks"] = self.code_blocks.step(y, before.get("code_blocks"))
        return self.output(self.norm(y)) + skip, after


class MdctDecoder(nn.Module):
    """Quantized latents [B, T, latent_dim] to samples; the first frame gives ``mdct_hop`` samples fewer than others."""

    def __init__(self, config: MdctCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.input = nn.Linear(config.latent_dim, config.code_dim)
        self.code_blocks = ConvNextStack(config.code_dim, config.code_depth)
        self.split = nn.Linear(config.code_dim, config.dim * config.merge)
        self.blocks = ConvNextStack(config.dim, config.depth)
        self.norm = nn.LayerNorm(config.dim)
        self.output = nn.Linear(config.dim, config.mdct_hop * config.fold)
        self.skip = nn.Linear(config.latent_dim, config.mdct_hop * config.fold * config.merge, bias=False)
        with torch.no_grad():
            self.skip.weight.copy_(lowest_bins(config).T)
            self.output.weight.mul_(0.3)
        self.imdct = InverseMdct(config.mdct_hop)

    def step(self, z: Tensor, state: State) -> tuple[Tensor, State]:
        """One block of latents [B, T, latent_dim] -> samples [B, S]."""
        before = state or {}
        after: dict[str, State] = {}
        y, after["code_blocks"] = self.code_blocks.step(self.input(z), before.get("code_blocks"))
        y = self.split(y).reshape(y.shape[0], -1, self.config.dim)
        y, after["blocks"] = self.blocks.step(y, before.get("blocks"))
        y = self.output(self.norm(y)).float() + self.skip(z).float().reshape(y.shape[0], y.shape[1], -1)
        y = y.clamp(-8.0, 8.0).reshape(y.shape[0], -1, self.config.mdct_hop)
        samples, after["imdct"] = self.imdct.step(self.config.compression * torch.sinh(y), before.get("imdct"))
        if state is None:
            samples = samples[:, self.config.mdct_hop :]
        return samples, after


class MdctCodec(CodecModel):
    """Encoder, residual quantizer and decoder.

    Code frame t is computed from samples up to ``(t + 1) * frame_size``, and decoding it completes the samples up to
    ``(t + 1) * frame_size - mdct_hop``; so S samples take ``ceil((S + mdct_hop) / frame_size)`` frames.
    """

    block_seconds = 4.0
    quantizer: ResidualVQ

    def __init__(self, config: MdctCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = MdctEncoder(config)
        self.quantizer = ResidualVQ(config.latent_dim, config.codebook_sizes)
        self.decoder = MdctDecoder(config)
        self.sample_rate = config.sample_rate
        self.frame_size = config.mdct_hop * config.fold * config.merge
        self.codebook_sizes = tuple(config.codebook_sizes)
        self.latent_dim = config.latent_dim

    def num_frames(self, num_samples: int) -> int:
        """ceil((num_samples + mdct_hop) / frame_size)."""
        return -(-(num_samples + self.config.mdct_hop) // self.frame_size)

    def residual_quantizers(self) -> list[tuple[ResidualVQ, Callable[[Tensor], Tensor]]]:
        """One, of the latents themselves."""
        return [(self.quantizer, lambda z: z)]

    def encode_step(self, x: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Samples [B, S] -> latents [B, T, D]; the end of the stream is followed by silence."""
        if final:
            x = F.pad(x, (0, self.num_frames(x.shape[1]) * self.frame_size - x.shape[1]))
        return self.encoder.step(x, state)

    def quantize(self, latents: Tensor, num_codebooks: int) -> Tensor:
        """Latents [B, T, D] -> codes int64 [B, K, T]."""
        return self.quantizer.encode(latents, num_codebooks)

    def dequantize(self, codes: Tensor) -> Tensor:
        """Codes [B, K, T] -> quantized latents [B, T, D]."""
        return self.quantizer.decode(codes)

    def decode_step(self, z: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Quantized latents [B, T, D] -> samples [B, S]; ``final`` changes nothing: every frame is complete."""
        return self.decoder.step(z, state)

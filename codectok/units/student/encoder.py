"""The unit codec's network: log-mel frames through causal ConvNeXt blocks, one latent a code frame."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from codectok.codec.convnext import ConvNextStack
from codectok.codec.harmonic.mel import mel_filters
from codectok.codec.model import State
from codectok.units.student.config import UnitCodecConfig

FLOOR = 1e-6
"""Added to the power of each mel band: 20 dB above the rounding of 16-bit audio."""


class LogMel(nn.Module):
    """Samples to causal log-mel frames; float32 under any autocast, no parameters."""

    window: Tensor
    mel: Tensor

    def __init__(self, config: UnitCodecConfig) -> None:
        super().__init__()
        self.hop, self.past = config.mel_hop, config.mel_window - config.mel_hop
        self.n_fft = 2 ** math.ceil(math.log2(config.mel_window))
        filters = mel_filters(config.mels, self.n_fft // 2 + 1, config.sample_rate)
        self.register_buffer("window", torch.hann_window(config.mel_window), persistent=False)
        self.register_buffer("mel", filters, persistent=False)

    def step(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Samples [B, N * hop] -> [B, N, mels]; the state is the last ``window - hop`` samples."""
        if state is None:
            state = x.new_zeros(x.shape[0], self.past)
        joined = torch.cat([state, x], 1)
        with torch.autocast(x.device.type, enabled=False):
            frames = joined.float().unfold(1, len(self.window), self.hop) * self.window
            spectrum = torch.fft.rfft(frames, self.n_fft)
            power = spectrum.real.square() + spectrum.imag.square()
            mel = torch.log10(power @ self.mel + FLOOR) + 2.0  # of speech: about -3 to 4
        return mel, joined[:, joined.shape[1] - self.past :]


class UnitEncoder(nn.Module):
    """Samples [B, T * frame_size] to vectors [B, T, latent_dim]; strictly causal.

    Output t has seen the samples up to ``(t + 1) * frame_size``. It stands for code frame ``t - ahead``: the delay,
    which :class:`~codectok.units.student.UnitCodec` takes off again, is how a causal network sees what follows.
    """

    def __init__(self, config: UnitCodecConfig) -> None:
        super().__init__()
        self.logmel = LogMel(config)
        self.input = nn.Linear(config.mels * config.fold, config.dim)
        self.blocks = ConvNextStack(config.dim, config.depth, config.kernel)
        self.norm = nn.LayerNorm(config.dim)
        self.output = nn.Linear(config.dim, config.latent_dim)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One block of samples."""
        before = state or {}
        after: dict[str, State] = {}
        mel, after["logmel"] = self.logmel.step(x, before.get("logmel"))
        y = self.input(mel.reshape(x.shape[0], -1, self.input.in_features))
        y, after["blocks"] = self.blocks.step(y, before.get("blocks"))
        return self.output(self.norm(y)), after

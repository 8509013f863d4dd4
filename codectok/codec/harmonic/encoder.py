"""The harmonic codec's encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codectok.codec.convnext import ConvNextStack
from codectok.codec.harmonic.analysis import Analysis
from codectok.codec.harmonic.config import HarmonicCodecConfig
from codectok.codec.model import State


class HarmonicEncoder(nn.Module):
    """Samples [B, S] to latents [B, T, latent_dim]; S a multiple of the code frame.

    Causal ConvNeXt blocks at the network's frame rate, then at the code rate, and a linear path around both. The path
    starts as the code that a signal processing textbook would write (pitch, mel bands, low MDCT bins), so that from the
    first step each slice of the latent means what the decoder takes it for.
    """

    def __init__(self, config: HarmonicCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.analysis = Analysis(config)
        self.input = nn.Linear(self.analysis.width, config.dim)
        self.blocks = ConvNextStack(config.dim, config.depth)
        self.merge = nn.Linear(config.dim * config.merge, config.code_dim)
        self.code_blocks = ConvNextStack(config.code_dim, config.code_depth)
        self.norm = nn.LayerNorm(config.code_dim)
        self.output = nn.Linear(config.code_dim, config.latent_dim)
        self.skip = nn.Linear(self.analysis.width * config.merge, config.latent_dim, bias=False)
        with torch.no_grad():
            self.output.weight.mul_(0.3)
            self._start_skip(self.skip.weight.view(config.latent_dim, config.merge, self.analysis.width))

    def _start_skip(self, weight: Tensor) -> None:
        """Set ``weight`` [latent_dim, network frame, feature]."""
        c, a = self.config, self.analysis
        weight.zero_()
        nn.init.normal_(weight[: c.part_dims[0], :, a.mel_at : a.mel_at + c.mels], std=0.15)
        # The pitch window ends with its frame, so the last estimate is the one nearest to the middle of the code frame.
        weight[c.pitch_at : c.envelope_at, -1, a.pitch_at] = 1
        group = c.mels // c.bands
        for f in range(c.merge):
            for band in range(c.bands):
                mels = slice(a.mel_at + band * group, a.mel_at + (band + 1) * group)
                weight[c.envelope_at + f * c.bands + band, f, mels] = 1 / group
            for g in range(c.fold):
                for b in range(c.bins):
                    weight[c.waveform_at + (f * c.fold + g) * c.bins + b, f, g * c.mdct_hop + b] = 0.5

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One block of samples [B, T * frame_size] -> latents [B, T, latent_dim]."""
        before = state or {}
        after: dict[str, State] = {}
        y, after["analysis"] = self.analysis.step(x, before.get("analysis"))
        skip = self.skip(y.reshape(y.shape[0], -1, self.skip.in_features))
        y, after["blocks"] = self.blocks.step(self.input(y), before.get("blocks"))
        y = self.merge(y.reshape(y.shape[0], -1, self.merge.in_features))
        y, after["code_blocks"] = self.code_blocks.step(y, before.get("code_blocks"))
        return self.output(self.norm(y)) + skip, after

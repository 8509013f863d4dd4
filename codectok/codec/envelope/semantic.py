"""The semantic branch: what is said, from a log-mel spectrum, apart from everything else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codectok.codec.convnext import ConvNextStack
from codectok.codec.envelope.config import FRAMES, EnvelopeCodecConfig
from codectok.codec.harmonic.mel import mel_filters
from codectok.codec.model import State


class SemanticEncoder(nn.Module):
    """Samples to latents [B, T, D] that training distils from a teacher; a causal network of its own.

    Nothing else of the codec is in its way, so it can be trained first, and alone.
    """

    window: Tensor
    mel: Tensor

    def __init__(self, config: EnvelopeCodecConfig) -> None:
        super().__init__()
        self.hop = config.mdct_hop // 2
        self.n_fft = 2 ** (3 * self.hop - 1).bit_length()
        dim = config.semantic_dim
        self.input = nn.Linear(2 * config.mels, dim)
        self.blocks = ConvNextStack(dim, config.semantic_depth)
        self.norm = nn.LayerNorm(FRAMES * dim)
        self.output = nn.Linear(FRAMES * dim, config.part_dims[0])
        filters = mel_filters(config.mels, self.n_fft // 2 + 1, config.sample_rate)
        self.register_buffer("window", torch.hann_window(3 * self.hop), persistent=False)
        self.register_buffer("mel", filters, persistent=False)

    def step(self, joined: Tensor, state: State) -> tuple[Tensor, State]:
        """One block of samples [B, (2 T + 1) * mdct_hop], the first hop of them past -> latents [B, T, D]."""
        batch = joined.shape[0]
        with torch.autocast(joined.device.type, enabled=False):
            spectrum = torch.fft.rfft(joined.unfold(1, 3 * self.hop, self.hop) * self.window, self.n_fft)
            power = spectrum.real.square() + spectrum.imag.square()
            mel = torch.log10(power @ self.mel + 1e-6) + 2.0
        y, state = self.blocks.step(self.input(mel.reshape(batch, -1, self.input.in_features)), state)
        return self.output(self.norm(y.reshape(batch, -1, self.output.in_features))), state

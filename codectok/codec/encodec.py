"""EnCodec at 24 kHz (Defossez et al. 2022): causal SEANet with an LSTM, and a residual quantizer at 75 Hz."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from codectok.codec.model import CodecModel, State
from codectok.codec.rvq import ResidualVQ
from codectok.codec.seanet import SeanetConfig, seanet_decoder, seanet_encoder
from codectok.settings.kinds import Count


@dataclass
class EncodecCodecConfig(SeanetConfig):
    """Shape of an :class:`EncodecCodec`; the defaults are those of facebook/encodec_24khz."""

    codebook_sizes: list[Count] = field(default_factory=lambda: [1024] * 32)
    """Codes of each level."""
    search: str = "greedy"
    """How codes are searched: greedy, or beam-N; see :class:`~codectok.codec.rvq.ResidualVQ`."""


class EncodecCodec(CodecModel):
    """Encoder, residual quantizer and decoder of EnCodec.

    Reflective padding starts the stream, so that the first ``first_frames`` code frames must come together.
    """

    block_seconds = 4.0
    quantizer: ResidualVQ
    config_class = EncodecCodecConfig

    def __init__(self, config: EncodecCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate, self.frame_size, self.latent_dim = config.sample_rate, config.hop, config.dim
        self.codebook_sizes = tuple(config.codebook_sizes)
        self.encoder = seanet_encoder(config)
        self.quantizer = ResidualVQ(config.dim, config.codebook_sizes, config.search)
        self.decoder = seanet_decoder(config)
        self.first_frames = max(self.encoder.first_frames, self.decoder.first_frames)

    def num_frames(self, num_samples: int) -> int:
        """ceil(num_samples / frame_size)."""
        return -(-num_samples // self.frame_size)

    def residual_quantizers(self) -> list[tuple[ResidualVQ, Callable[[Tensor], Tensor]]]:
        """One, of the latents themselves."""
        return [(self.quantizer, lambda z: z)]

    def encode_step(self, x: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Samples [B, S] -> latents [B, T, D]; see :class:`CodecModel`."""
        return self.encoder.step(x.unsqueeze(2), state, final)

    def decode_step(self, z: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Quantized latents [B, T, D] -> samples [B, T * frame_size]."""
        y, state = self.decoder.step(z, state, final)
        return y.squeeze(2), state

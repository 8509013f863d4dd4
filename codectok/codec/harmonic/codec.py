"""The harmonic codec: a causal speech codec that runs at the frame rate and separates what speech is made of.

Its latent has four slices, each with residual codebooks of its own: what is said (distilled in training from a
semantic teacher), pitch, envelope and waveform. With the first codebooks it is a vocoder, with all of them a
waveform codec. ``docs/codec.md`` has the layout and the reasons.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from codectok.codec.harmonic.config import HarmonicCodecConfig
from codectok.codec.harmonic.decoder import HarmonicDecoder
from codectok.codec.harmonic.encoder import HarmonicEncoder
from codectok.codec.model import CodecModel, State
from codectok.codec.partitioned_vq import PartitionedVQ
from codectok.codec.rvq import ResidualVQ


class HarmonicCodec(CodecModel):
    """Encoder, quantizer of four slices, and decoder.

    Code frame t is computed from samples up to ``(t + 1) * frame_size``, and decoding it completes the samples up to
    ``(t + 1) * frame_size - mdct_hop``; so S samples take ``ceil((S + mdct_hop) / frame_size)`` frames.
    """

    block_seconds = 4.0
    decoder_keys = ("waveform_from", "noise_frames", "ceiling_bands", "peak")
    quantizer: PartitionedVQ
    config_class = HarmonicCodecConfig

    def __init__(self, config: HarmonicCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = HarmonicEncoder(config)
        self.quantizer = PartitionedVQ(config.part_dims, config.parts, config.codebook_sizes, config.search)
        self.decoder = HarmonicDecoder(config)
        self.sample_rate, self.frame_size = config.sample_rate, config.frame_size
        self.codebook_sizes = tuple(config.codebook_sizes)
        self.latent_dim = config.latent_dim

    def num_frames(self, num_samples: int) -> int:
        """ceil((num_samples + mdct_hop) / frame_size)."""
        return -(-(num_samples + self.config.mdct_hop) // self.frame_size)

    def residual_quantizers(self) -> list[tuple[ResidualVQ, Callable[[Tensor], Tensor]]]:
        """One a slice."""
        return self.quantizer.views()

    def encode_step(self, x: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Samples [B, S] -> latents [B, T, D]; the end of the stream is followed by silence."""
        if final:
            x = F.pad(x, (0, self.num_frames(x.shape[1]) * self.frame_size - x.shape[1]))
        return self.encoder.step(x, state)

    def decoded_codebooks(self, num_codebooks: int) -> int:
        """Those of the waveform only where there are at least ``waveform_from`` in all."""
        heard = num_codebooks >= self.config.waveform_from
        return num_codebooks if heard else min(num_codebooks, sum(self.config.parts[:3]))

    def dequantize(self, codes: Tensor) -> Tensor:
        """Codes [B, K, T] -> quantized latents [B, T, D]; 0 in slices that no codebook is left for.

        The waveform's is 0 too with fewer than ``waveform_from`` codebooks.
        """
        return super().dequantize(codes[:, : self.decoded_codebooks(codes.shape[1])])

    def decode_step(self, z: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
        """Quantized latents [B, T, D] -> samples [B, S]; ``final`` changes nothing: every frame is complete."""
        return self.decoder.step(z, state)

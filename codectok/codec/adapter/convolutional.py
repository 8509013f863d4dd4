"""DAC, EnCodec and Mimi in transformers."""

from __future__ import annotations

import math

from torch import Tensor

from codectok.codec.adapter.family import Family
from codectok.codec.hf_names import SEGMENTS
from codectok.errors import FormatError


class DacFamily(Family):
    """Descript Audio Codec (Kumar et al. 2023): convolutions, residual look-up of normalised vectors."""

    model_class = "DacModel"
    decoder_parts = ("decoder",)
    sees = "convolutions to both sides"
    features_are = "the encoder's output, before the first codebook"
    window_seconds, overlap_seconds, exact = 10.0, 1.0, True

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """All of one size."""
        return (int(self.config.codebook_size),) * int(self.config.n_codebooks)

    @property
    def feature_dim(self) -> int:
        """Width of the encoder's output."""
        return int(self.config.hidden_size)

    def latents(self, samples: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self.model.encoder(self.whole(samples)[None, None])[0].T

    def quantize(self, latents: Tensor, count: int) -> Tensor:
        """See :class:`Family`."""
        return self.model.quantizer(latents.T[None], count)[1][0]

    def dequantize(self, codes: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self.model.quantizer.from_codes(codes[None])[0][0].T

    def synthesize(self, vectors: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self.model.decoder(vectors.T[None])[0, 0]


class EncodecFamily(Family):
    """EnCodec (Défossez et al. 2022) for one channel: convolutions, an LSTM and residual vector quantization."""

    model_class = "EncodecModel"
    own_class = "encodec-codec"
    decoder_parts = ("decoder",)
    sees = "convolutions and an LSTM over the past"
    padding = "the model's own, by reflection"
    features_are = "the encoder's output, before the first codebook"
    window_seconds, overlap_seconds = 20.0, 4.0

    def __init__(self, config: object, model: object = None) -> None:
        super().__init__(config, model)
        if self.config.audio_channels != 1 or self.config.normalize or self.config.chunk_length_s is not None:
            raise FormatError(SEGMENTS)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """As many as the highest bandwidth takes."""
        return (int(self.config.codebook_size),) * int(self.config.num_quantizers)

    @property
    def feature_dim(self) -> int:
        """Width of the encoder's output."""
        return int(self.config.hidden_size)

    def latents(self, samples: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self.model.encoder(samples[None, None])[0].T

    def quantize(self, latents: Tensor, count: int) -> Tensor:
        """See :class:`Family`; transformers counts by bandwidth, of which it allows five."""
        per_codebook = self.model.quantizer
        bandwidth = (count + 0.5) * math.log2(per_codebook.codebook_size) * per_codebook.frame_rate / 1000
        return per_codebook.encode(latents.T[None], bandwidth)[:, 0]

    def dequantize(self, codes: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self.model.quantizer.decode(codes[:, None])[0].T

    def synthesize(self, vectors: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self.model.decoder(vectors.T[None])[0, 0]


class MimiFamily(Family):
    """Mimi (Défossez et al. 2024): causal convolutions and transformers; one codebook from a semantic teacher."""

    model_class = "MimiModel"
    own_class = "mimi-codec"
    decoder_parts = ("decoder",)
    sees = "convolutions and a transformer over the past"
    padding = "the model's own, zeros"
    features_are = "the encoder's output, before both quantizers"

    def __init__(self, config: object, model: object = None) -> None:
        super().__init__(config, model)
        if self.config.encoder_config is None:
            raise FormatError("this Mimi was saved without its encoder: give one that has it")
        c = self.config
        if c.audio_channels != 1 or not c.use_causal_conv or c.frame_rate == c.encodec_frame_rate:
            raise FormatError(
                "Mimi runs in transformers if it is causal, of one channel and downsampled: give such a one"
            )

    @property
    def hop(self) -> int:
        """Samples a frame."""
        return int(self.config.latent_stride) * math.prod(self.config.upsampling_ratios)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """The semantic ones first."""
        return (int(self.config.codebook_size),) * int(self.config.num_quantizers)

    @property
    def feature_dim(self) -> int:
        """Width of the encoder's output."""
        return int(self.config.hidden_size)

    @property
    def can_decode(self) -> bool:
        """Its decoder may have been left out."""
        return self.config.decoder_config is not None

    def latents(self, samples: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self.model.encoder(samples[None, None], use_streaming=False).latents[0].T

    def quantize(self, latents: Tensor, count: int) -> Tensor:
        """See :class:`Family`; transformers gives no fewer than the semantic ones."""
        least = max(count, int(self.config.num_semantic_quantizers))
        return self.model.quantizer.encode(latents.T[None], least)[:count, 0]

    def dequantize(self, codes: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self.model.quantizer.decode(codes[None])[0].T

    def synthesize(self, vectors: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self.model.decoder(vectors.T[None]).audio_values[0, 0]

"""WavTokenizer in transformers: one codebook, decoded by a Vocos network."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from codectok.codec.adapter.family import Family


class WavTokenizerFamily(Family):
    """WavTokenizer (Ji et al. 2024): EnCodec's encoder, one vector quantizer, an inverse STFT at the end.

    Its feature extractor may normalise clips by their peak, and by default does not: neither does this.
    """

    model_class = "WavTokenizerModel"
    decoder_parts: ClassVar[tuple[str, ...]] = ("backbone", "head")
    sees = "convolutions to both sides and an LSTM over the past"
    padding = "the model's own, by reflection"
    features_are = "the encoder's output, before the codebook"

    @property
    def _encoding(self) -> Any:
        """The part with encoder and quantizer."""
        return self.model.encoder_model

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """One."""
        return (int(self.config.codebook_size),)

    @property
    def feature_dim(self) -> int:
        """Width of the encoder's output."""
        return int(self.config.hidden_size)

    def latents(self, samples: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self._encoding.encoder(samples[None, None])[0].T

    def quantize(self, latents: Tensor, count: int) -> Tensor:
        """See :class:`Family`."""
        return self._encoding.quantizer.encode(latents.T[None])

    def dequantize(self, codes: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self._encoding.quantizer.decode(codes)[0].T

    def synthesize(self, vectors: Tensor) -> Tensor:
        """See :class:`Family`; inference is always of the first bandwidth."""
        first = torch.zeros(1, dtype=torch.int64, device=vectors.device)
        return self.model.head(self.model.backbone(vectors.T[None], first))[0, 0]


class WavTokenizerEncoderFamily(WavTokenizerFamily):
    """WavTokenizer without its decoder."""

    model_class = "WavTokenizerEncoderModel"
    decoder_parts: ClassVar[tuple[str, ...]] = ()

    @property
    def _encoding(self) -> Any:
        return self.model

    @property
    def can_decode(self) -> bool:
        """It cannot."""
        return False

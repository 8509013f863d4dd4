"""X-Codec and the Higgs audio tokenizer in transformers: a DAC encoder beside a HuBERT, quantized together."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from codectok.codec.adapter.family import Family
from codectok.errors import FormatError


class XcodecFamily(Family):
    """X-Codec (Ye et al. 2024): acoustic and semantic features side by side, residual vector quantization."""

    model_class = "XcodecModel"
    decoder_parts = ("acoustic_decoder", "decoder_semantic", "fc1", "fc2")
    sees = "HuBERT's attention over the window, and convolutions to both sides"
    features_are = "acoustic and semantic features after their common layer, before the first codebook"

    def __init__(self, config: object, model: object = None) -> None:
        super().__init__(config, model)
        semantic = math.prod(self.config.semantic_model_config.conv_stride) * self._skip()
        if semantic * self.input_rate != self.hop * self._semantic_rate():
            raise FormatError(
                f"its semantic frames are of {semantic} samples at {self._semantic_rate()} Hz, its acoustic ones of "
                f"{self.hop} at {self.input_rate} Hz: transformers does not run that either, give another model"
            )

    def _semantic_rate(self) -> int:
        """Hz of the audio that the semantic model is given."""
        return self.input_rate

    def _skip(self) -> int:
        """Of so many semantic frames, one is kept."""
        return 1

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """As many as the highest bandwidth takes."""
        return (int(self.config.codebook_size),) * int(self.config.num_quantizers)

    @property
    def feature_dim(self) -> int:
        """Acoustic and semantic width together."""
        return int(self.config.hidden_size)

    def latents(self, samples: Tensor) -> Tensor:
        """See :class:`Family`."""
        x = self.whole(samples)[None, None]
        semantic = self.model.encoder_semantic(self.model._extract_semantic_features(x).mT)
        return self.model.fc(torch.cat([self.model.acoustic_encoder(x), semantic], 1).mT)[0]

    def quantize(self, latents: Tensor, count: int) -> Tensor:
        """See :class:`Family`; transformers counts by bandwidth, of which it allows some."""
        bandwidth = (count + 0.5) * self.model.quantizer.get_bandwidth_per_quantizer()
        return self.model.quantizer.encode(latents.T[None], bandwidth)[:, 0]

    def dequantize(self, codes: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self.model.quantizer.decode(codes[:, None])[0].T

    def synthesize(self, vectors: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self.model.acoustic_decoder(self.model.fc2(vectors[None]).mT)[0, 0]


class HiggsFamily(XcodecFamily):
    """The tokenizer of Higgs Audio v2: X-Codec at 24 kHz, its HuBERT at 16 kHz."""

    model_class = "HiggsAudioV2TokenizerModel"

    def _semantic_rate(self) -> int:
        return int(self.config.semantic_sample_rate)

    def _skip(self) -> int:
        return max(1, int(self.config.semantic_downsample_factor))

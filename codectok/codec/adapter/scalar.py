"""X-Codec 2 and NeuCodec in transformers: w2v-BERT beside an acoustic encoder, finite scalar quantization."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from codectok.codec.adapter.family import Family


class Xcodec2Family(Family):
    """X-Codec 2 (Ye et al. 2025): one codebook of 65,536, a Vocos decoder with attention."""

    model_class = "Xcodec2Model"
    decoder_parts = ("acoustic_decoder",)
    sees = "w2v-BERT's attention over the window, whose mel bands have mean 0 and variance 1"
    padding = "a zero, then zeros up to a whole number of frames"
    frames = "floor(S / hop) + 1"
    features_are = "what is rounded: a number between -1 and 1 for each level of the quantizer"

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """One, of all combinations of levels."""
        return (math.prod(self.config.quantization_levels),)

    @property
    def feature_dim(self) -> int:
        """Numbers that are rounded."""
        return len(self.config.quantization_levels)

    def num_frames(self, num_samples: int) -> int:
        """See :class:`Family`."""
        return num_samples // self.hop + 1

    def _mel_input(self, padded: Tensor) -> Tensor:
        """What the filterbank sees of the padded samples [S]."""
        return F.pad(padded, (self.hop // 2, self.hop // 2))

    def latents(self, samples: Tensor) -> Tensor:
        """See :class:`Family`."""
        x = self.whole(F.pad(samples, (0, 1)))
        mel = normalised_mel(self._mel_input(x))
        mask = torch.ones(mel.shape[:2], dtype=torch.int64, device=mel.device)
        semantic = self.model.semantic_encoder(mel, attention_mask=mask).last_hidden_state
        semantic = self.model.semantic_adapter(semantic.mT)
        acoustic = self.model.acoustic_encoder(x[None, None])
        count = min(semantic.shape[2], acoustic.shape[2])
        hidden = torch.cat([semantic[..., :count], acoustic[..., :count]], 1)
        projected = self.model.quantizer.project_in(self.model.fc_encoder(hidden.mT))[0]
        return self._rounding.bound(projected)

    @property
    def _rounding(self) -> Any:
        return self.model.quantizer.quantizer

    def features(self, latents: Tensor) -> Tensor:
        """See :class:`Family`: bounded a second time, as the quantizer does before it rounds."""
        return self._rounding.bound(latents.float()) / (self._rounding.levels // 2)

    def quantize(self, latents: Tensor, count: int) -> Tensor:
        """See :class:`Family`."""
        return self._rounding(latents)[1][None]

    def dequantize(self, codes: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self._rounding.codebook[codes[0]]

    def synthesize(self, vectors: Tensor) -> Tensor:
        """See :class:`Family`."""
        return self.model.acoustic_decoder(self.model.quantizer.project_out(vectors)[None])[0, 0]


class NeuCodecFamily(Xcodec2Family):
    """NeuCodec (Neuphonic 2025): X-Codec 2 that hears 16 kHz and speaks 24 kHz."""

    model_class = "NeuCodecModel"
    padding = "a zero, then zeros up to a whole number of frames, of which the last is dropped"
    frames = "max(1, floor(S / hop)), S at 16 kHz"

    @property
    def input_rate(self) -> int:
        """Hz of the audio that is encoded."""
        return int(self.config.input_sampling_rate)

    @property
    def sample_rate(self) -> int:
        """Hz of the audio that is decoded."""
        return int(self.config.output_sampling_rate)

    @property
    def hop(self) -> int:
        """Samples of the input a frame."""
        return int(self.config.encoder_hop_length)

    def num_frames(self, num_samples: int) -> int:
        """See :class:`Family`."""
        return max(1, num_samples // self.hop)

    def latents(self, samples: Tensor) -> Tensor:
        """See :class:`Family`; of less than a frame transformers gives none."""
        return super().latents(F.pad(samples, (0, max(0, self.hop - len(samples)))))

    def _mel_input(self, padded: Tensor) -> Tensor:
        return padded


def normalised_mel(samples: Tensor) -> Tensor:
    """80 log mel bands as Kaldi makes them, each of mean 0 and variance 1, two frames side by side: [1, T, 160].

    Args:
        samples: [S] at 16 kHz.
    """
    import numpy as np
    from transformers.audio_utils import spectrogram

    window, filters = _kaldi()
    mel = spectrogram(
        samples.cpu().numpy() * 2**15,
        window,
        frame_length=400,
        hop_length=160,
        fft_length=512,
        power=2.0,
        center=False,
        preemphasis=0.97,
        mel_filters=filters,
        log_mel="log",
        mel_floor=float(np.finfo(np.float32).eps),
        remove_dc_offset=True,
    ).T
    mel = (mel - mel.mean(0)) / np.sqrt(mel.var(0, ddof=1) + 1e-7)
    pairs = torch.from_numpy(np.ascontiguousarray(mel[: len(mel) // 2 * 2], np.float32))
    return pairs.reshape(1, -1, 160).to(samples.device)


@cache
def _kaldi() -> tuple[Any, Any]:
    """Kaldi's window, and its mel filters."""
    from transformers.audio_utils import mel_filter_bank, window_function

    filters = mel_filter_bank(257, 80, 20, 8000, 16000, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True)
    return window_function(400, "povey", periodic=False), filters

"""The front ends of the encoder families: how samples become a model's input, and where its frames lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from codectok.units.encoders import SAMPLE_RATE, SpeechEncoder


class ConvEncoder(SpeechEncoder):
    """HuBERT, WavLM, wav2vec 2.0 and data2vec-audio: a stack of strided convolutions on the samples.

    The stack has a hop H (320) and sees R samples (400) a frame; unpadded it would give ``floor((S - R) / H) + 1``
    frames, one fewer than there are hops, the first of them centred on ``R / 2``. So the window is padded by
    ``(R - H) / 2`` zeros (40) at its start and by as many as the last frame needs at its end: ``ceil(S / H)`` frames,
    frame t centred on ``(t + 1/2) * H``.

    Where the model's preprocessor says ``do_normalize``, the utterance (all of it, before windows and padding) is
    brought to zero mean and unit variance.
    """

    def __init__(self, model: Any, *, hop: int, receptive_field: int, do_normalize: bool, **options: Any) -> None:
        super().__init__(model, **options)
        self.hop = hop
        self.receptive_field = receptive_field
        self.do_normalize = do_normalize

    def _scale(self, samples: np.ndarray) -> np.ndarray:
        if not self.do_normalize:
            return samples
        x = samples.astype(np.float64)
        return ((x - x.mean()) / np.sqrt(x.var() + 1e-7)).astype(np.float32)

    def _prepare(self, samples: np.ndarray) -> Tensor:
        before = (self.receptive_field - self.hop) // 2
        needed = (self.num_frames(len(samples)) - 1) * self.hop + self.receptive_field
        return F.pad(torch.from_numpy(samples), (before, needed - before - len(samples)))[None]


class FbankEncoder(SpeechEncoder):
    """w2v-BERT 2.0: mel filterbank frames of 25 ms every 10 ms, two of them side by side.

    A feature frame t unpadded spans samples ``[320 t, 320 t + 560)``; with 120 zeros at the window's start it is
    centred on ``(t + 1/2) * 320``. Each mel bin is normalised over the window, as the preprocessor does.
    """

    RATE_HOP, WINDOW, STRIDE = 160, 400, 2
    hop = RATE_HOP * STRIDE

    def __init__(self, model: Any, *, extractor: Any, **options: Any) -> None:
        super().__init__(model, **options)
        self.extractor = extractor

    def _prepare(self, samples: np.ndarray) -> Tensor:
        receptive_field = self.RATE_HOP * (self.STRIDE - 1) + self.WINDOW
        before = (receptive_field - self.hop) // 2
        needed = (self.num_frames(len(samples)) - 1) * self.hop + receptive_field
        padded = np.pad(samples, (before, needed - before - len(samples)))
        return self.extractor(padded, sampling_rate=SAMPLE_RATE, return_tensors="pt")["input_features"]


class WhisperEncoder(SpeechEncoder):
    """The encoder half of Whisper: log-mel frames every 10 ms, halved by a strided convolution.

    The window (at most 30 s: there are no more positions) is followed by silence up to 30 s, as in training, and the
    features are cut to ``ceil(S / 320)`` frames. The mel frames are centred on multiples of 160 samples and the
    convolutions on every second of them, so feature frame t is centred on ``320 t`` and stands for the samples from
    ``320 t - 160`` on (``offset``). The scale of the log-mel follows the loudest frame of the window.

    ``tail_seconds`` (None: all of the 30 s) leaves only so much of the silence in: a clip of 2 s then costs a tenth.
    The features change: attention no longer reaches the rest of the silence.
    """

    hop = 320
    offset = -160

    def __init__(self, model: Any, *, extractor: Any, tail_seconds: float | None, **options: Any) -> None:
        super().__init__(model, **options)
        self.extractor = extractor
        self.tail_seconds = tail_seconds

    def _prepare(self, samples: np.ndarray) -> Tensor:
        length = None
        if self.tail_seconds is not None:
            frames = self.num_frames(len(samples)) + round(self.tail_seconds * SAMPLE_RATE / self.hop)
            length = min(frames * self.hop, self.extractor.n_samples)
        out = self.extractor(samples, sampling_rate=SAMPLE_RATE, max_length=length, return_tensors="pt")
        return out["input_features"]

    def _run(self, inputs: Tensor) -> Tensor:
        # Step by step: the model's own forward takes 30 s and nothing else.
        net = self.model
        x = F.gelu(net.conv1(inputs))  # type: ignore[operator]
        x = F.gelu(net.conv2(x)).mT  # type: ignore[operator]
        x = x + net.embed_positions.weight[: x.shape[1]]  # type: ignore[union-attr,index]
        for layer in net.layers:  # type: ignore[union-attr]
            out = layer(x, None)
            x = out[0] if isinstance(out, tuple) else out
        return net.layer_norm(x)[0]  # type: ignore[operator]

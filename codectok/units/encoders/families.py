"""The encoder families: how samples become a model's input, where its frames lie, and how its transformer is called."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from codectok.units.encoders.frontend import ConvStack, block_positions
from codectok.units.encoders.onednn import available, pack_blocks
from codectok.units.encoders.speech_encoder import SAMPLE_RATE, SpeechEncoder


class ConvEncoder(SpeechEncoder):
    """HuBERT, WavLM, wav2vec 2.0 (XLS-R), data2vec-audio, UniSpeech: strided convolutions on the samples.

    The stack has a hop H (320) and sees R samples (400) a frame.

    Where the model's preprocessor says ``do_normalize``, the utterance (all of it, before windows and padding) is
    brought to zero mean and unit variance.
    """

    def __init__(
        self,
        model: Any,
        *,
        hop: int,
        receptive_field: int,
        do_normalize: bool,
        maskable: bool,
        trainable: bool,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        self.hop = hop
        self.receptive_field = receptive_field
        self.do_normalize = do_normalize
        self.maskable = maskable
        self._conv_stack: ConvStack | None = None
        if self.device.type == "cpu" and self.dtype != "bfloat16" and not trainable:
            self._conv_stack = ConvStack(model.feature_extractor.conv_layers)
            block_positions(model.encoder.pos_conv_embed)
        if self.device.type == "cpu" and self.dtype == "float32" and available() and not trainable:
            pack_blocks(model.encoder.layers)

    def _scale(self, samples: np.ndarray) -> np.ndarray:
        if not self.do_normalize:
            return samples
        x = samples.astype(np.float64)
        return ((x - x.mean()) / np.sqrt(x.var() + 1e-7)).astype(np.float32)

    def _prepare(self, samples: np.ndarray) -> Tensor:
        return torch.from_numpy(self._padded(samples))[None]

    def _front(self, inputs: Tensor) -> Tensor:
        net: Any = self.model
        y = self._conv_stack(inputs[0])[None] if self._conv_stack else net.feature_extractor(inputs).mT
        out = net.feature_projection(y)
        return out[0] if isinstance(out, tuple) else out

    def _stack(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.model.encoder(x, attention_mask=mask)[0]  # type: ignore[operator]


class FbankEncoder(SpeechEncoder):
    """w2v-BERT 2.0: mel filterbank frames of 25 ms every 10 ms, two of them side by side.

    A feature frame sees 560 samples. Each mel bin is normalised over the window, as the preprocessor does; with
    ``padding="none"`` over an odd last filterbank frame too, which makes no feature frame (transformers masks it).
    """

    RATE_HOP, WINDOW, STRIDE = 160, 400, 2
    hop = RATE_HOP * STRIDE
    receptive_field = RATE_HOP * (STRIDE - 1) + WINDOW
    maskable = True

    def __init__(self, model: Any, *, extractor: Any, **options: Any) -> None:
        super().__init__(model, **options)
        self.extractor = extractor

    def _prepare(self, samples: np.ndarray) -> Tensor:
        out = self.extractor(self._padded(samples), sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return out["input_features"][:, : int(out["attention_mask"].sum())]

    def _stack(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.model(x, attention_mask=mask).last_hidden_state


class WhisperEncoder(SpeechEncoder):
    """The encoder half of Whisper: log-mel frames every 10 ms, halved by a strided convolution.

    The window (at most 30 s: there are no more positions) is followed by silence up to 30 s, as in training, and the
    features are cut to ``ceil(S / 320)`` frames (``padding`` is always "hop"). The mel frames are centred on multiples
    of 160 samples and the convolutions on every second of them, so feature frame t is centred on ``320 t`` and stands
    for the samples from ``320 t - 160`` on (``offset``). The scale of the log-mel follows the loudest frame of the
    window.

    ``tail_seconds`` (None: all of the 30 s) leaves only so much of the silence in: a clip of 2 s then costs a tenth.
    The features change: attention no longer reaches the rest of the silence.
    """

    hop = 320
    receptive_field = 400 + 4 * 160

    def __init__(self, model: Any, *, extractor: Any, tail_seconds: float | None, **options: Any) -> None:
        super().__init__(model, **options)
        self.extractor = extractor
        self.tail_seconds = tail_seconds

    @property
    def offset(self) -> int:
        """First sample of the span that frame 0 stands for."""
        return -160

    def _run_frames(self, frames: int) -> int:
        longest = self.extractor.n_samples // self.hop
        if self.tail_seconds is None:
            return longest
        return min(frames + round(self.tail_seconds * SAMPLE_RATE / self.hop), longest)

    def _prepare(self, samples: np.ndarray) -> Tensor:
        length = self._run_frames(self.num_frames(len(samples))) * self.hop
        out = self.extractor(samples, sampling_rate=SAMPLE_RATE, max_length=length, return_tensors="pt")
        return out["input_features"]

    def _front(self, inputs: Tensor) -> Tensor:
        # Step by step: the model's own forward takes 30 s and nothing else.
        net: Any = self.model
        x = F.gelu(net.conv1(inputs))
        x = F.gelu(net.conv2(x)).mT
        return x + net.embed_positions.weight[: x.shape[1]]

    def _stack(self, x: Tensor, mask: Tensor | None) -> Tensor:
        net: Any = self.model
        for layer in net.layers:
            out = layer(x, None)
            x = out[0] if isinstance(out, tuple) else out
        return net.layer_norm(x)


class PatchEncoder(SpeechEncoder):
    """Audio spectrogram transformers (AST), whose tokens are patches of the spectrogram, not frames.

    A patch spans several mel bins and 16 filterbank frames of 10 ms, a new column of them every 10 of those frames.
    The frame grid is that of the columns: hop 1600 samples (10 frames a second), receptive field 2800. A frame's
    features are the mean over its column's patches; the class tokens are left out. The model has positions for a fixed
    length (10.24 s) and is always run on all of it, the rest being the preprocessor's padding: windows are at most
    101 frames long.
    """

    def __init__(self, model: Any, *, extractor: Any, rows: int, columns: int, stride: int, patch: int, **options: Any):
        super().__init__(model, **options)
        self.extractor = extractor
        self.rows, self.columns = rows, columns
        self.hop = 160 * stride
        self.receptive_field = 160 * (patch - 1) + 400

    def _run_frames(self, frames: int) -> int:
        return self.columns

    def _prepare(self, samples: np.ndarray) -> Tensor:
        return self.extractor(self._padded(samples), sampling_rate=SAMPLE_RATE, return_tensors="pt")["input_values"]

    def _stack(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.model(x).last_hidden_state

    def _run(self, inputs: Any) -> list[Tensor]:
        patches = self.rows * self.columns
        return [x[-patches:].unflatten(0, (self.rows, self.columns)).mean(0) for x in super()._run(inputs)]

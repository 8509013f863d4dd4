"""What has to be known of a family of audio tokenizers in transformers to run it as the contract asks."""

from __future__ import annotations

import abc
import math
from typing import Any, ClassVar

from torch import Tensor


class Family(abc.ABC):
    """One family: its facts, read from a config where they stand in one, and the two ways through its network.

    Everything runs one clip or window at a time, without a batch: no family is exact under padding.

    Args:
        config: transformers' config of the model.
        model: transformers' model; None where only facts are asked.
    """

    model_class: ClassVar[str]
    """Its name in transformers."""
    own_class: ClassVar[str] = ""
    """Name of the kind ``codecs`` of our own class for the same weights, which a plain id opens."""
    decoder_parts: ClassVar[tuple[str, ...]]
    """First words of the names of weights that the decoder alone reads."""
    sees: ClassVar[str]
    """What a frame's codes depend on."""
    padding: ClassVar[str] = "zeros up to a whole number of frames"
    """What follows the end of a clip."""
    frames: ClassVar[str] = "ceil(S / hop)"
    """The length rule, of S samples at the rate of the input."""
    features_are: ClassVar[str]
    """What ``features`` gives."""
    window_seconds: ClassVar[float] = 30.0
    """The longest audio that is run at once; longer audio runs in windows."""
    overlap_seconds: ClassVar[float] = 6.0
    """What two windows share; each is kept up to the middle of it."""
    exact: ClassVar[bool] = False
    """Whether windows give the codes of the whole: half an overlap is all that a frame sees."""

    def __init__(self, config: Any, model: Any = None) -> None:
        self.config = config
        self.model = model

    @property
    def input_rate(self) -> int:
        """Hz of the audio that is encoded."""
        return int(getattr(self.config, "sampling_rate", None) or self.config.sample_rate)

    @property
    def sample_rate(self) -> int:
        """Hz of the audio that is decoded, which is the tokenizer's."""
        return self.input_rate

    @property
    def hop(self) -> int:
        """Samples of the input a frame."""
        return int(self.config.hop_length)

    @property
    @abc.abstractmethod
    def codebook_sizes(self) -> tuple[int, ...]:
        """Codes in each codebook."""

    @property
    @abc.abstractmethod
    def feature_dim(self) -> int:
        """D of the features."""

    @property
    def can_decode(self) -> bool:
        """Whether the model has a decoder."""
        return True

    def num_frames(self, num_samples: int) -> int:
        """Frames of that many samples of the input."""
        return math.ceil(num_samples / self.hop)

    def whole(self, samples: Tensor) -> Tensor:
        """Samples [S] with zeros behind them, up to a whole number of frames."""
        from torch.nn.functional import pad

        return pad(samples, (0, -len(samples) % self.hop))

    @abc.abstractmethod
    def latents(self, samples: Tensor) -> Tensor:
        """What is quantized, [T, N], of samples [S] at the input's rate."""

    def features(self, latents: Tensor) -> Tensor:
        """What ``features`` gives of latents, [T, D]: on the scale of :meth:`dequantize`."""
        return latents

    @abc.abstractmethod
    def quantize(self, latents: Tensor, count: int) -> Tensor:
        """Whole numbers [count, T] of latents [T, N]."""

    @abc.abstractmethod
    def dequantize(self, codes: Tensor) -> Tensor:
        """What codes [K, T] of the first codebooks say of the features, [T, D]."""

    @abc.abstractmethod
    def synthesize(self, vectors: Tensor) -> Tensor:
        """Samples [S] of vectors [T, D]: T frames of ``hop``, or a few samples fewer at the end."""

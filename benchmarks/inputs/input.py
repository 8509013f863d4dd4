"""Input: what a probe is fed with, made of audio at ``RATE``, and audio again where it can be."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from codectok.tokenizer import Tokenizer

from ..contract import InputInfo, NotComputed


class Input(abc.ABC):
    """One input of a suite, open and ready to use. All audio is float32 [S] at ``RATE`` (16 kHz), in and out."""

    info: InputInfo
    tokenizer: Tokenizer | None = None
    """That makes it, where one does."""
    source: str = ""
    """What the tokenizer was opened by."""

    def extract(self, clips: Sequence[np.ndarray]) -> list[Tensor]:
        """Codes int64 [K, T] of each clip for discrete inputs, float32 [T, D] for the others, as ``info`` says.

        Raises:
            NotComputed: samples themselves ("audio" inputs), which no probe reads.
        """
        raise NotComputed(f"{self.info.label} is audio: it stands in resynthesis alone, no probe reads samples")

    def vectors(self) -> list[Tensor] | None:
        """Code vectors, float32 [size, D] a codebook used, for embeddings to start from; None where codes have none."""
        return None

    def to_audio(self, values: Sequence[Tensor], num_samples: Sequence[int]) -> list[np.ndarray]:
        """Audio float32 [num_samples] of what ``extract`` gives, or of a probe's output of the same kind and shape.

        Raises:
            NotComputed: this input has no way back.
        """
        raise NotComputed(f"{self.info.label} cannot be turned into audio")

    def resynthesise(self, clips: Sequence[np.ndarray]) -> tuple[list[np.ndarray], float | None]:
        """Clips through the input and back, each as long as it was; and the nominal kbit/s, None if continuous.

        Classical coders give the kbit/s that their files took.

        Raises:
            NotComputed: this input has no way back, or its program is not installed.
        """
        values = self.extract(clips)
        return self.to_audio(values, [len(c) for c in clips]), self.info.bitrate_kbps

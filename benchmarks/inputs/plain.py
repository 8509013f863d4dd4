"""Inputs without a tokenizer: log-mel, the features that every recogniser once started from, and the audio itself."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from codectok.fingerprint import fingerprint
from codectok.metrics.mel import log_mel

from ..contract import RATE, InputInfo
from .input import Input
from .spec import Spec

BANDS, WINDOW, TOP_HZ = 80, 400, 8000.0


class LogMelInput(Input):
    """80 mel bands up to 8 kHz in units of 20 dB (0 is full scale, -5 the floor); 25 ms windows, 100 or 50 a second."""

    def __init__(self, spec: Spec) -> None:
        frames = int(spec.setting or 100)
        self.hop = RATE // frames
        self.info = InputInfo(
            spec=spec.text,
            label=f"log-mel {frames} Hz",
            kind="continuous",
            tokenizer="",
            fingerprint=fingerprint(
                {"input": "logmel", "bands": BANDS, "window": WINDOW, "hop": self.hop, "version": 1}
            ),
            frame_rate=Fraction(frames),
            dim=BANDS,
        )

    def extract(self, clips: Sequence[np.ndarray]) -> list[Tensor]:
        """Float32 [S // hop + 1, 80]; frame t is centred on sample ``t * hop``."""
        many = [log_mel(c, RATE, WINDOW, self.hop, BANDS, TOP_HZ) for c in clips]
        return [torch.from_numpy((m / 20.0).astype(np.float32)) for m in many]


class OriginalInput(Input):
    """The clips as they are, 16 bits a sample: the ceiling of resynthesis."""

    def __init__(self, spec: Spec) -> None:
        self.info = InputInfo(
            spec=spec.text,
            label="original",
            kind="audio",
            tokenizer="",
            fingerprint=fingerprint({"input": "original"}),
            frame_rate=Fraction(RATE),
            bitrate_kbps=RATE * 16 / 1000,
        )

    def resynthesise(self, clips: Sequence[np.ndarray]) -> tuple[list[np.ndarray], float | None]:
        """The very samples."""
        return [np.asarray(c, dtype=np.float32) for c in clips], self.info.bitrate_kbps

"""An encoder that needs no model: frames of 320 samples through fixed random matrices, one for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from codectok.errors import AudioError

HOP = 320


class FakeEncoder:
    sample_rate = 16000
    frame_rate = Fraction(50)
    dtype = "float32"

    def __init__(self, layers: Sequence[int] = (6,), layer_dim: int = 8) -> None:
        self.layers = tuple(layers)
        self.layer_dim = layer_dim
        self.dim = layer_dim * len(self.layers)
        self.fingerprint = f"fake-{self.layers}-{layer_dim}"
        rng = np.random.default_rng(0)
        self.matrix = rng.standard_normal((HOP, self.dim)).astype(np.float32)
        self.calls = 0

    def features(self, audio: np.ndarray) -> Tensor:
        self.calls += 1
        if np.abs(audio).max() > 0.99:
            raise AudioError("too loud for this encoder")
        frames = -(-len(audio) // HOP)
        padded = np.zeros(frames * HOP, np.float32)
        padded[: len(audio)] = audio
        return torch.from_numpy(np.tanh(padded.reshape(frames, HOP) @ self.matrix))

    def features_batch(self, audios: Sequence[np.ndarray]) -> list[Tensor]:
        return [self.features(audio) for audio in audios]


def write_corpus(folder: Path, seconds: Sequence[float], seed: int = 0) -> Path:
    """A folder of noise clips, quiet enough for the encoder."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for i, length in enumerate(seconds):
        noise = np.clip(rng.standard_normal(round(length * 16000)) * 0.1, -0.9, 0.9)
        soundfile.write(folder / f"clip{i:03d}.wav", noise, 16000)
    return folder

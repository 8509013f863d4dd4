"""Running a teacher over clips."""

from __future__ import annotations

import numpy as np

from codectok.audio.samples import resample
from codectok.units import SpeechEncoder
from train_codec.data import ClipArray
from train_codec.distill.reduce import Reduction

SAMPLE_FRAMES = 20000
"""Teacher frames that principal components are fitted on."""


def clip_features(clips: ClipArray, index: int, encoder: SpeechEncoder, sample_rate: int) -> np.ndarray:
    """Features of one clip, float32 [T, D]."""
    audio = clips.read(clips.clips[index])
    if sample_rate != encoder.sample_rate:
        audio = resample(audio, sample_rate, encoder.sample_rate)
    return encoder.features(audio).numpy()


def fit_reduction(clips: ClipArray, encoder: SpeechEncoder, dim: int, sample_rate: int) -> Reduction:
    """Principal components of clips drawn at random (always the same ones) until there are enough frames."""
    drawn: list[np.ndarray] = []
    for i in np.random.default_rng(0).permutation(len(clips.clips)):
        drawn.append(clip_features(clips, int(i), encoder, sample_rate))
        if sum(map(len, drawn)) >= SAMPLE_FRAMES:
            break
    return Reduction.fit(np.concatenate(drawn), dim)


def pieces(lengths: list[int], most: int) -> list[list[int]]:
    """Runs of neighbouring clips of about ``most`` samples together: what is written to disk at a time."""
    found: list[list[int]] = []
    held = most
    for i, length in enumerate(lengths):
        if held >= most:
            found.append([])
            held = 0
        found[-1].append(i)
        held += length
    return found

"""What a tokenizer keeps of some clips: metrics of every clip, and the use of its codes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from codectok.audio import resample
from codectok.metrics.bootstrap import Interval, bootstrap_mean
from codectok.metrics.registry import compute
from codectok.metrics.usage import code_usage

if TYPE_CHECKING:
    from codectok.tokenizer import Tokenizer


@dataclass(frozen=True)
class Reconstruction:
    """Scores of one tokenizer at one number of codebooks.

    Attributes:
        num_codebooks, bitrate: codebooks used, and nominal kbit/s.
        num_clips: clips tried.
        values: of each metric, one value a clip that it could be computed on.
        failed: of each metric, how many clips it failed on.
        used: distinct codes of each level over all clips.
        entropy: bits of each level's code counts over all clips.
    """

    num_codebooks: int
    bitrate: float
    num_clips: int
    values: dict[str, list[float]]
    failed: dict[str, int]
    used: tuple[int, ...]
    entropy: tuple[float, ...]

    def interval(self, metric: str) -> Interval:
        """Mean of a metric with its bootstrap 95 % interval over clips."""
        return bootstrap_mean(self.values[metric])


def score_reconstruction(
    tokenizer: Tokenizer, clips: Iterable[np.ndarray], rate: int, num_codebooks: int, metrics: Sequence[str]
) -> Reconstruction:
    """Encode and decode clips (float32 [S] at ``rate`` Hz) and compare each with its original."""
    values: dict[str, list[float]] = {m: [] for m in metrics}
    failed = dict.fromkeys(metrics, 0)
    codes = []
    for clip in clips:
        tokens = tokenizer.encode(clip, rate, num_codebooks=num_codebooks)
        codes.append(tokens.codes)
        decoded = tokenizer.decode(tokens)
        reference = resample(clip, rate, tokenizer.sample_rate)
        got, errors = compute(metrics, reference, decoded, tokenizer.sample_rate)
        for name, value in got.items():
            values[name].append(value)
        for name in errors:
            failed[name] += 1
    used, entropy = code_usage(torch.cat(codes, 1))
    return Reconstruction(num_codebooks, tokenizer.bitrate(num_codebooks), len(codes), values, failed, used, entropy)

"""What a tokenizer keeps of some clips: metrics of every clip, and the use of its codes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from codectok.audio import resample
from codectok.metrics.bootstrap import Interval
from codectok.metrics.level import HEADLINE
from codectok.metrics.registry import compute
from codectok.metrics.summary import Spread, summarize
from codectok.metrics.usage import code_usage

if TYPE_CHECKING:
    from codectok.tokenizer import Tokenizer

QUALITY = ("pesq", "stoi", "mel", *HEADLINE)
"""What quality is told by unless other metrics are named: none is deaf to what all others are deaf to."""


@dataclass
class Reconstruction:
    """Scores of one tokenizer at one number of codebooks, on the 16-bit files that it would write.

    Attributes:
        num_codebooks, bitrate: codebooks used, and nominal kbit/s.
        num_clips: clips tried.
        values: of each metric, {index of the clip: its value} where it could be computed.
        failed: of each metric, how many clips it failed on.
        used: distinct codes of each level over all clips.
        entropy: bits of each level's code counts over all clips.
    """

    num_codebooks: int
    bitrate: float
    num_clips: int = 0
    values: dict[str, dict[int, float]] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    used: tuple[int, ...] = ()
    entropy: tuple[float, ...] = ()

    def add(self, reference: np.ndarray, decoded: np.ndarray, rate: int) -> None:
        """Score the next clip, float [S] each at ``rate`` Hz, by the metrics that ``values`` has."""
        got, errors = compute(self.values, reference, decoded, rate)
        for name, value in got.items():
            self.values[name][self.num_clips] = value
        for name in errors:
            self.failed[name] += 1
        self.num_clips += 1

    def summary(self, metric: str, speakers: Sequence[Hashable] | None = None) -> Interval | Spread | None:
        """Mean with its bootstrap 95 % interval, or median and spread of a signed metric; None if it always failed.

        Args:
            metric: one of ``values``.
            speakers: one a clip tried; intervals are then over speakers, not clips.
        """
        found = self.values[metric]
        if not found:
            return None
        return summarize(metric, list(found.values()), None if speakers is None else [speakers[i] for i in found])


def scores_of(num_codebooks: int, bitrate: float, metrics: Sequence[str] = QUALITY) -> Reconstruction:
    """Of no clips yet: :meth:`Reconstruction.add` brings them."""
    return Reconstruction(num_codebooks, bitrate, 0, {m: {} for m in metrics}, dict.fromkeys(metrics, 0))


def score_reconstruction(
    tokenizer: Tokenizer,
    clips: Iterable[np.ndarray],
    rate: int,
    depths: Sequence[int],
    metrics: Sequence[str] = QUALITY,
) -> list[Reconstruction]:
    """Encode clips once, decode them at each number of codebooks, and compare each with its original.

    Args:
        tokenizer: one that decodes.
        clips: float32 [S] each.
        rate: Hz of the clips.
        depths: numbers of codebooks: the first of the same codes, by the contract of a tokenizer.
        metrics: names of registered metrics.

    Returns:
        One a number of codebooks, in their order.

    Raises:
        CodeRangeError: a number of codebooks that the tokenizer does not have.
    """
    out = [scores_of(depth, tokenizer.bitrate(depth), metrics) for depth in depths]
    codes = []
    for clip in clips:
        tokens = tokenizer.encode(clip, rate, num_codebooks=max(depths))
        codes.append(tokens.codes)
        reference = resample(clip, rate, tokenizer.sample_rate)
        for scores in out:
            decoded = tokenizer.decode(tokens.first(scores.num_codebooks))
            scores.add(reference, decoded, tokenizer.sample_rate)
    if codes:
        used, entropy = code_usage(torch.cat(codes, 1))
        for scores in out:
            scores.used, scores.entropy = used[: scores.num_codebooks], entropy[: scores.num_codebooks]
    return out

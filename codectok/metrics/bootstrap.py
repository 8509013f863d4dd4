"""Confidence intervals of a mean over clips, by the percentile bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codectok.metrics.registry import MetricError


@dataclass(frozen=True)
class Interval:
    """A mean over ``n`` clips and its interval; ``low`` and ``high`` are None for one clip, which has no spread."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half the interval's width: the number behind the ±."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def bootstrap_mean(
    values: Sequence[float], *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Mean of one value a clip, with the percentile bootstrap interval over clips (Efron 1979).

    The same values in the same order and the same seed give the same interval on every machine.

    Raises:
        MetricError: no values, or one that is not finite (a failed metric must not become a number).
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not data.size:
        raise MetricError("a mean needs at least one value")
    if not np.isfinite(data).all():
        raise MetricError("a value is NaN or infinite: leave failed clips out and count them")
    if data.size == 1:
        return Interval(float(data[0]), None, None, 1)
    rng = np.random.default_rng(seed)
    # One resample at a time keeps the memory at [n], however many clips there are.
    means = [data[rng.integers(0, data.size, data.size)].mean() for _ in range(resamples)]
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Interval(float(data.mean()), float(low), float(high), int(data.size))

"""One metric over many clips, as tables show it: a mean with its interval, or, of a signed one, median and spread."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from codectok.metrics.bootstrap import Interval, bootstrap_mean
from codectok.metrics.registry import MetricError, get_metric

SHARE = 0.9
"""Of the clips, that a spread's ``within`` holds."""


@dataclass(frozen=True)
class Spread:
    """A signed error over ``n`` clips: too loud and too quiet would cancel in a mean.

    Attributes:
        median: of the errors, signed.
        low, high: 10 and 90 % quantiles, signed.
        within: 90 % of the clips are no further than this from 0.
        n: clips.

    Examples:
        >>> from codectok.metrics import summarize
        >>> summarize("level", [-6.0, 6.0, 0.5]).median
        0.5
    """

    median: float
    low: float
    high: float
    within: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Median and spread of one signed error a clip.

    Raises:
        MetricError: no values, or one that is not finite.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not data.size or not np.isfinite(data).all():
        raise MetricError("a spread needs at least one value, and finite ones: leave failed clips out and count them")
    low, middle, high = np.quantile(data, [1 - SHARE, 0.5, SHARE])
    return Spread(float(middle), float(low), float(high), float(np.quantile(np.abs(data), SHARE)), int(data.size))


def summarize(name: str, values: Sequence[float], speakers: Sequence[Hashable] | None = None) -> Interval | Spread:
    """What to show of a metric's values, one a clip; with ``speakers``, one a clip, intervals are over speakers.

    Raises:
        MetricError: no values, one that is not finite, or no such metric.

    Examples:
        >>> from codectok.metrics import summarize
        >>> summarize("pesq", [1.0, 2.0, 1.5])
        Interval(mean=1.5, low=1.0, high=2.0, n=3)
    """
    return spread(values) if get_metric(name).signed else bootstrap_mean(values, clusters=speakers)


def central(found: Interval | Spread) -> float:
    """The mean or the median."""
    return found.median if isinstance(found, Spread) else found.mean


def words(name: str, found: Interval | Spread) -> str:
    """As a table has it: ``2.31 [2.20, 2.41]`` (mean and interval) or ``+0.4 (90 % within 1.9)``."""
    digits = get_metric(name).decimals
    if isinstance(found, Spread):
        return f"{found.median:+.{digits}f} (90 % within {found.within:.{digits}f})"
    bounds = "" if found.low is None else f" [{found.low:.{digits}f}, {found.high:.{digits}f}]"
    return f"{found.mean:.{digits}f}{bounds}"

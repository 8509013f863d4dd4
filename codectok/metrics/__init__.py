"""Metrics: ask for one by name, or for several of a clip at once.

A metric raises :class:`MetricError` where it cannot be computed; it never returns a number that stands for a failure.
"""

from codectok.metrics.bootstrap import Interval, bootstrap_mean
from codectok.metrics.registry import (
    Metric,
    MetricError,
    MetricUnavailable,
    compute,
    get_metric,
    metric_names,
)
from codectok.metrics.summary import Spread, summarize
from codectok.metrics.usage import code_usage

__all__ = [
    "Interval",
    "Metric",
    "MetricError",
    "MetricUnavailable",
    "Spread",
    "bootstrap_mean",
    "code_usage",
    "compute",
    "get_metric",
    "metric_names",
    "summarize",
]

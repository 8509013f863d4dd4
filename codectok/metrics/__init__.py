"""Metrics: ask for one by name, or for several of a clip at once.

A metric raises :class:`MetricError` where it cannot be computed; it never returns a number that stands for a failure.
"""

from codectok.metrics.bootstrap import Interval, bootstrap_mean
from codectok.metrics.catalogue import METRICS as _OTHER_METRICS
from codectok.metrics.level import METRICS as _LEVEL_METRICS
from codectok.metrics.opinion import METRICS as _OPINION_METRICS
from codectok.metrics.pitch import METRICS as _PITCH_METRICS
from codectok.metrics.registry import (
    Metric,
    MetricError,
    MetricUnavailable,
    compute,
    get_metric,
    metric_names,
    register,
)
from codectok.metrics.signal import METRICS as _SIGNAL_METRICS
from codectok.metrics.speaker import METRICS as _SPEAKER_METRICS
from codectok.metrics.spectrum import METRICS as _SPECTRUM_METRICS
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
    "register",
    "summarize",
]

for _metric in (
    *_SIGNAL_METRICS,
    *_SPECTRUM_METRICS,
    *_LEVEL_METRICS,
    *_PITCH_METRICS,
    *_OPINION_METRICS,
    *_SPEAKER_METRICS,
    *_OTHER_METRICS,
):
    register(_metric)

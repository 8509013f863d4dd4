"""The metrics that are known: each an entry with a name, a function, a reference and an install line, as in VERSA."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from codectok.errors import CodectokError

MetricFunction = Callable[[np.ndarray, np.ndarray, int], float]
"""(reference float [S], estimate float [S], sample rate in Hz) -> one finite number."""


class MetricError(CodectokError):
    """A metric that cannot be computed on this clip: never turned into a number, always counted by the caller."""


class MetricUnavailable(MetricError):
    """A metric whose optional package is not installed; the message says how to install it."""


@dataclass(frozen=True)
class Metric:
    """One way to compare a reconstruction with the original.

    Attributes:
        name: how it is asked for.
        label: how tables head it.
        function: see :data:`MetricFunction`; raises MetricError rather than return a number that means failure.
        unit: "" where it has none.
        higher_is_better: direction.
        reference: paper or standard.
        decimals: that tables show.
        install: the line that installs what it needs; "" where codectok's own requirements suffice.
    """

    name: str
    label: str
    function: MetricFunction
    unit: str
    higher_is_better: bool
    reference: str
    decimals: int = 2
    install: str = ""

    def __call__(self, reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
        """Compare float [S] with float [S], both at ``rate`` Hz.

        Raises:
            MetricUnavailable: its package is missing.
            MetricError: unequal lengths, silence, too short, or not finite.
        """
        return self.function(reference, estimate, rate)


_METRICS: dict[str, Metric] = {}


def register(metric: Metric) -> Metric:
    """Make a metric known by its name.

    Raises:
        MetricError: the name is taken.
    """
    if metric.name in _METRICS:
        raise MetricError(f"a metric named {metric.name} exists already")
    _METRICS[metric.name] = metric
    return metric


def get_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        MetricError: there is none.
    """
    if name not in _METRICS:
        raise MetricError(f"no metric {name!r}; there are {', '.join(_METRICS)}")
    return _METRICS[name]


def metric_names() -> tuple[str, ...]:
    """Names of all registered metrics, in order of registration."""
    return tuple(_METRICS)


def compute(
    names: Iterable[str], reference: np.ndarray, estimate: np.ndarray, rate: int
) -> tuple[dict[str, float], dict[str, str]]:
    """Several metrics of one clip: the values, and the reasons of those that failed.

    Args:
        names: of registered metrics.
        reference: float [S], the original.
        estimate: float [S], the reconstruction.
        rate: Hz of both.
    """
    values: dict[str, float] = {}
    failures: dict[str, str] = {}
    for name in names:
        try:
            values[name] = get_metric(name)(reference, estimate, rate)
        except MetricError as error:
            failures[name] = str(error)
    return values, failures

"""Metrics: each an entry with a name, a function, a reference and an install line, as in VERSA."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np

from codectok import registry
from codectok.audio.samples import as_written
from codectok.errors import CodectokError

Kind = Literal["pair", "reference-free", "corpus", "system"]
"""What a metric looks at:

pair: (reference float [S], estimate float [S], rate in Hz) -> one finite number;
reference-free: (estimate float [S], rate) -> one finite number;
corpus: (all references, all predictions), as the function says, for rates that are no means over clips;
system: a property of the tokenizer or of the run, which nothing here computes from clips (the function is None).
"""


class MetricError(CodectokError):
    """A metric that cannot be computed on this clip: never turned into a number, always counted by the caller.

    Examples:
        >>> from codectok.metrics import get_metric
        >>> get_metric("bitrate")()
        Traceback (most recent call last):
        codectok.metrics.registry.MetricError: bitrate is a property of a tokenizer or a run: it is not
        computed from clips
    """


class MetricUnavailable(MetricError):
    """A metric whose optional package is not installed; the message says how to install it.

    Examples:
        >>> from codectok.metrics import MetricUnavailable
        >>> try:
        ...     import codectok_no_such_package
        ... except ImportError as error:
        ...     raise MetricUnavailable("ViSQOL is not installed: pip install 'visqol-python[lattice]'") from error
        Traceback (most recent call last):
        codectok.metrics.registry.MetricUnavailable: ViSQOL is not installed: pip install 'visqol-python[lattice]'
    """


@dataclass(frozen=True)
class Metric:
    """One figure that tables can show.

    Attributes:
        name: how it is asked for.
        label: how tables head it.
        function: see :data:`Kind`; raises MetricError rather than return a number that means failure. Or where it
            stands, "module:name", imported when it is first called; None for kind "system".
        unit: "" where it has none.
        higher_is_better: direction.
        reference: paper or standard.
        decimals: that tables show.
        install: the line that installs what it needs; "" where codectok's own requirements suffice.
        kind: see :data:`Kind`.
        signed: whether the best value is 0, with errors on both sides; higher_is_better then says nothing.
        bound: magnitude past which something is wrong, and reports and training say so; none is infinite.

    Examples:
        >>> from codectok.metrics import get_metric
        >>> metric = get_metric("level")
        >>> metric.unit, metric.signed, metric.kind
        ('dB', True, 'pair')
    """

    name: str
    label: str
    function: Callable[..., Any] | str | None
    unit: str
    higher_is_better: bool
    reference: str
    decimals: int = 2
    install: str = ""
    kind: Kind = "pair"
    signed: bool = False
    bound: float = math.inf

    def __call__(self, *arguments: Any) -> Any:
        """What the function gives for the arguments of its kind; both clips of a pair at the same ``rate`` in Hz.

        Raises:
            MetricUnavailable: its package is missing.
            MetricError: clips of unequal lengths, silent, too short, or not finite; a metric of kind "system".
        """
        if self.function is None:
            raise MetricError(f"{self.name} is a property of a tokenizer or a run: it is not computed from clips")
        function = self.function
        if isinstance(function, str):
            module, name = function.split(":")
            function = getattr(import_module(module), name)
        return function(*arguments)

    def of_clip(self, reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
        """Of one clip (float [S] each), whether or not the metric looks at the reference.

        Both are heard as a 16-bit file stores them: what is clipped there counts.

        Raises:
            MetricUnavailable: its package is missing.
            MetricError: as in a call; or a metric that is not computed clip by clip.
        """
        if self.kind == "pair":
            return float(self(as_file(reference), as_file(estimate), rate))
        if self.kind == "reference-free":
            return float(self(as_file(estimate), rate))
        raise MetricError(f"{self.name} is not computed clip by clip")

    @property
    def arrow(self) -> str:
        """Where the good values lie, for the head of a column."""
        return "→0" if self.signed else "↑" if self.higher_is_better else "↓"

    def too_far(self, value: float) -> bool:
        """Whether a value lies past the metric's bound."""
        return abs(value) > self.bound

    def goodness(self, value: float) -> float:
        """What to rank by, higher is better: the value, its negative, or how near it is to 0 where it is signed."""
        if self.signed:
            return -abs(value)
        return value if self.higher_is_better else -value


def as_file(samples: np.ndarray) -> np.ndarray:
    """Float samples as they come back from a 16-bit file.

    Raises:
        MetricError: a sample is NaN or infinite, which no file holds.
    """
    array = np.asarray(samples)
    if not np.isfinite(array).all():
        raise MetricError("a sample is NaN or infinite")
    return as_written(array)


METRICS: registry.Table[Metric] = registry.Table("metrics")
"""All there are, own ones and other packages'."""


def get_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        UnknownNameError: there is none.
        MetricError: another package's, which is no Metric, or one of another name.

    Examples:
        >>> from codectok.metrics import get_metric
        >>> from codectok.testing import voice
        >>> original = voice(16000, rate=16000)
        >>> round(get_metric("level").of_clip(original, 0.5 * original, 16000), 1)
        -6.0
    """
    found = METRICS[name]
    if not isinstance(found, Metric) or found.name != name:
        raise MetricError(f"what {registry.entry_of('metrics', name).target} gives is no Metric named {name}")
    return found


def metric_names(kind: Kind | None = None) -> tuple[str, ...]:
    """Names of all metrics, or of those of one kind.

    Examples:
        >>> from codectok.metrics import metric_names
        >>> "rtf" in metric_names("system"), "pesq" in metric_names("pair")
        (True, True)
    """
    return tuple(name for name in METRICS if kind is None or get_metric(name).kind == kind)


def compute(
    names: Iterable[str], reference: np.ndarray, estimate: np.ndarray, rate: int
) -> tuple[dict[str, float], dict[str, str]]:
    """Several metrics of one clip: the values, and the reasons of those that failed.

    Args:
        names: of metrics.
        reference: float [S], the original.
        estimate: float [S], the reconstruction.
        rate: Hz of both.

    Examples:
        >>> from codectok.metrics import compute
        >>> from codectok.testing import voice
        >>> values, failures = compute(["level", "bitrate"], *[voice(16000, rate=16000)] * 2, 16000)
        >>> values, failures
        ({'level': 0.0}, {'bitrate': 'bitrate is not computed clip by clip'})
    """
    values: dict[str, float] = {}
    failures: dict[str, str] = {}
    for name in names:
        try:
            values[name] = get_metric(name).of_clip(reference, estimate, rate)
        except MetricError as error:
            failures[name] = str(error)
    return values, failures

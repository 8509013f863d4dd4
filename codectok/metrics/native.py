"""Metrics whose packages are native code that may crash or hang on a clip: that costs this clip, not the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codectok.metrics.registry import MetricError
from codectok.processes import CallDied, apart

LIMIT = 120.0
"""Seconds that a metric may take for a clip of any length..."""
LIMIT_A_SAMPLE = 1e-3
"""...and for each number of an array: 16 s for each second at 16 kHz, a hundred times what PESQ needs."""


def native(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """``function(*arguments)`` in a worker process that stays: where clips crash it, another takes its place.

    Args:
        name: of the metric, for errors.
        function: of an installed package; what it raises is raised here.
        arguments: arrays and numbers.

    Raises:
        MetricError: it crashed, or did not come to an end.

    Examples:
        >>> from codectok.metrics.native import native
        >>> import math
        >>> native("root", math.sqrt, 4.0)
        2.0
    """
    longest = max((getattr(a, "size", 0) for a in arguments), default=0)
    try:
        return apart(function, *arguments, limit=LIMIT + LIMIT_A_SAMPLE * longest)
    except CallDied as error:
        raise MetricError(f"{name} crashed on this clip: {error}") from error

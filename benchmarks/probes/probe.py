"""What a probe is by name: an entry of the kind ``probes``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .options import ProbeOptions


@dataclass(frozen=True)
class Probe:
    """A small model that says how much of a label an input tells.

    Attributes:
        build: (size of the frames that a front end makes, options) -> the model: an
            :class:`~benchmarks.probes.encoder.Encoder`, or a :class:`~benchmarks.probes.pooling.Pooling`. ValueError
            for a size that cannot be built.
        frames: it is an Encoder, which gives a frame for a frame; tasks that need a vector a clip pool it.
        dim: of the frames that its front end makes in size "published".
    """

    build: Callable[[int, ProbeOptions], Any]
    frames: bool
    dim: int = 1024

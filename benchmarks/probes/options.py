"""Options of a probe, as suites write them, and the sizes that stand behind "small" and "published"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt

from codectok.settings.build import build_from
from codectok.settings.kinds import Count, Natural


@dataclass(frozen=True)
class ProbeOptions:
    """How a probe is built; the same for every input of a task."""

    size: Literal["small", "published"] = "small"
    """``small`` trains in seconds on a CPU."""
    dim: Natural = 0
    """Of a frame after the front end; 0 is the size's (64, or DASB's 1024; 256 for Conformer and CRDNN)."""
    width: Natural = 0
    """Of the layers after it; 0 is the size's."""
    start: Literal["random", "vectors"] = "random"
    """Embedding tables are random, or the tokenizer's code vectors where it has any."""
    dropout: Annotated[float, Lt(1)] = -1.0
    """Everywhere in the probe; below 0 is each probe's own."""
    crop_seconds: Annotated[float, Ge(0), Lt(3600)] = 0.0
    """In training, a piece of this length is drawn from each longer clip (classification and verification only); 0
    takes whole clips."""
    beam: Count = 1
    """Of CTC at test; 1 is greedy."""

    @property
    def small(self) -> bool:
        """Whether the size is "small"."""
        return self.size == "small"

    def drop(self, own: float) -> float:
        """The dropout, ``own`` where none is asked for."""
        return own if self.dropout < 0 else self.dropout

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> ProbeOptions:
        """From the options of a suite.

        Raises:
            FormatError: an option there is not, or a value that cannot be used.
        """
        return build_from(cls, options, "options")

"""Options of a probe, as suites write them, and the sizes that stand behind "small" and "published"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from codectok.errors import FormatError


@dataclass(frozen=True)
class ProbeOptions:
    """How a probe is built; the same for every input of a task.

    Attributes:
        size: "small", which trains in seconds on a CPU, or "published".
        dim: of a frame after the front end; 0 is the size's (64, or DASB's 1024; 256 for Conformer and CRDNN).
        width: of the layers after it; 0 is the size's.
        start: "random" embedding tables, or from the tokenizer's code "vectors" where it has any.
        dropout: everywhere in the probe; -1 is each probe's own.
        crop_seconds: in training, a piece of this length is drawn from each longer clip (classification and
            verification only); 0 takes whole clips.
        beam: of CTC at test; 1 is greedy.
    """

    size: str = "small"
    dim: int = 0
    width: int = 0
    start: str = "random"
    dropout: float = -1.0
    crop_seconds: float = 0.0
    beam: int = 1

    def __post_init__(self) -> None:
        if self.size not in ("small", "published"):
            raise FormatError(f"size: {self.size!r}: write small or published")
        if self.start not in ("random", "vectors"):
            raise FormatError(f"start: {self.start!r}: write random or vectors")
        if self.dim < 0 or self.width < 0 or self.beam < 1 or not 0 <= self.crop_seconds < 3600 or self.dropout >= 1:
            raise FormatError(f"{self}: a size below 0, a beam below 1 or a dropout that is no share")

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
        kinds: dict[str, Any] = {f.name: type(f.default) for f in fields(cls)}
        unknown = sorted(set(options) - set(kinds))
        if unknown:
            raise FormatError(f"no probe option {', '.join(unknown)}; there are {', '.join(kinds)}")
        try:
            return cls(**{name: kinds[name](value) for name, value in options.items()})
        except (TypeError, ValueError) as error:
            raise FormatError(f"probe options: {error}") from None

"""What tasks that make sound have in common: options of their own, and scores gathered over test sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from codectok.metrics import MetricError, get_metric
from codectok.settings.kinds import Natural

from ..contract import Example, ItemScore, Outcome, Score
from ..probes import ProbeOptions
from ..training import Fitted
from .scoring import CLIP_KINDS, JUDGED, Scored, Triple


@dataclass(frozen=True)
class SoundOptions:
    """What is scored and kept of what a task makes."""

    metrics: tuple[str, ...] = ()
    """Instead of the task's own; none is those."""
    speaker_encoder: str = ""
    """Of spk_sim: a name or the folder of one; empty for the default."""
    audio_clips: Natural = 3
    """Clips of the first test set that are kept to listen to."""

    def __post_init__(self) -> None:
        for name in self.metrics:
            if get_metric(name).kind not in CLIP_KINDS and name not in JUDGED:
                raise MetricError(
                    f"{name} is no score of a clip: give metrics of original and reconstruction, as "
                    "`codectok bench list metrics` shows"
                )


@dataclass(frozen=True)
class GenerativeOptions:
    """Options of a task that trains a probe to make sound."""

    probe: ProbeOptions = field(default_factory=ProbeOptions)
    sound: SoundOptions = field(default_factory=SoundOptions)


def model_loss(model: Any, examples: Sequence[Example], generator: Any = None) -> Tensor:
    """The loss of a probe that has its own; see :data:`benchmarks.training.Loss`."""
    del generator
    return model.loss(examples)


@dataclass
class Gathered:
    """Scores of several test sets on their way to one outcome; ``keep`` clips of the first are kept to listen to."""

    keep: int = SoundOptions.audio_clips
    scores: list[Score] = field(default_factory=list)
    items: list[ItemScore] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    audio: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, scored: Scored, triples: Sequence[Triple]) -> None:
        """What the metrics say of one test set's ``triples``."""
        self.scores += scored.scores
        self.items += scored.items
        self.notes |= scored.notes
        self.failures |= scored.failures
        self.audio = self.audio or {name: estimate for name, _, estimate in triples[: self.keep]}

    def outcome(self, fitted: Fitted | None = None) -> Outcome:
        """All of it, with what the training came to where there was one."""
        trained: dict[str, Any] = {}
        if fitted is not None:
            trained = {"rate": fitted.rate, "steps": fitted.steps, "parameters": fitted.parameters}
        return Outcome(
            tuple(self.scores),
            tuple(self.items),
            notes=self.notes,
            failures=self.failures,
            audio=self.audio,
            **trained,
        )

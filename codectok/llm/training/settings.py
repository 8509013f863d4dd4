"""What a training run needs: settings of the whole, and a flat list of stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from codectok.errors import FormatError
from codectok.settings.build import build, build_from
from codectok.settings.explain import Setting, explain
from codectok.settings.kinds import Count, Natural, NotNegative, Positive, Share
from codectok.settings.values import Values, read

TRAINABLE = ("adapter", "new-rows", "lora", "all")


@dataclass(frozen=True)
class TrainStage:
    """One stage of training."""

    trainable: str
    """What moves: ``adapter`` (modules named adapter or projector), ``new-rows`` (of the audio tokens, in both tables),
    ``lora`` (low-rank updates of all linear layers but the head, merged at the end of the stage) or several with a
    plus, ``lora+new-rows``; or ``all``."""
    steps: Count
    """Optimizer steps."""
    learning_rate: Positive
    """After the warm-up; falls to 0 by a cosine."""
    data: str = ""
    """A dataset folder; empty for the run's."""

    def __post_init__(self) -> None:
        if not self.parts <= set(TRAINABLE) or ("all" in self.parts and len(self.parts) > 1):
            raise FormatError(f"trainable is {self.trainable!r}: give one of {', '.join(TRAINABLE)}, or lora+new-rows")

    @property
    def parts(self) -> frozenset[str]:
        """What moves, one by one."""
        return frozenset(self.trainable.split("+"))

    def rate(self, step: int, warmup_share: float) -> float:
        """Learning rate of a step, counted from 0."""
        warmup = max(1, round(self.steps * warmup_share))
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup)))


@dataclass(frozen=True)
class TrainSettings:
    """The run as a whole."""

    stages: tuple[TrainStage, ...] = ()
    """One after the other."""
    seed: Natural = 0
    """Of everything that is drawn."""
    batch: Count = 8
    """Rows of the dataset a step, of all processes together."""
    accumulate: Count = 1
    """Parts that a batch is worked on in."""
    weight_decay: NotNegative = 0.01
    """AdamW's, times the learning rate."""
    clip_norm: NotNegative = 1.0
    """Largest norm of the gradient; 0 leaves it as it is."""
    warmup_share: Share = 0.05
    """Share of a stage's steps over which the learning rate rises."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Of accelerate. Weights are float32 in training, and stored as the model came."""
    lora_rank: Count = 16
    """Rank of the low-rank updates."""
    lora_alpha: Count = 32
    """Low-rank updates are multiplied by this over their rank."""
    head_width: Natural = 0
    """Of the second transformer of patterns depth and valle; 0 is the width of the language model."""
    head_layers: Count = 4
    """Of the same."""
    log_every: Count = 20
    """Steps between lines of the log."""
    checkpoint_every: Count = 200
    """Steps between checkpoints."""
    text: str = ""
    """Text file that retention is measured on; empty for a few sentences."""
    threads: Natural = 0
    """CPU threads; 0 leaves it to torch."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def check(self) -> None:
        """Raises FormatError for values that cannot be meant."""
        build_from(TrainSettings, self.to_dict(), "settings")
        if not self.stages:
            raise FormatError("no stages: give a file with a list stages, each with trainable, steps and learning_rate")


def read_values(arguments: Sequence[str]) -> Values:
    """Keys and values of YAML files, later ones over earlier ones, and of ``key=value`` over them; not yet checked."""
    files = [argument for argument in arguments if "=" not in argument]
    return read(files, [argument for argument in arguments if "=" in argument], noun="file of stages")


def read_settings(arguments: Sequence[str]) -> TrainSettings:
    """Settings from YAML files and ``key=value``; ``stages.0.steps=10`` reaches inside.

    Raises:
        FormatError: no such file, an unknown key, a value that is not what its field may be, or no stages.
    """
    settings = build(TrainSettings, read_values(arguments))
    settings.check()
    return settings


def explain_settings(arguments: Sequence[str]) -> list[Setting]:
    """Every setting; arguments and errors as :func:`read_settings`."""
    return explain(TrainSettings, read_values(arguments))

"""What a training run needs: settings of the whole, and a flat list of stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from codectok.errors import FormatError

TRAINABLE = ("adapter", "new-rows", "lora", "all")
PRECISIONS = ("no", "bf16", "fp16")
LEAST = {
    1: ("batch", "accumulate", "log_every", "checkpoint_every", "lora_rank", "lora_alpha"),
    0: ("seed", "weight_decay", "clip_norm", "threads"),
}
"""The least values of numbers."""


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        trainable: what moves: "adapter" (modules named adapter or projector), "new-rows" (of the audio tokens, in
            both tables), "lora" (low-rank updates of all linear layers but the head, merged at the end of the stage)
            or several with a plus, "lora+new-rows"; or "all".
        steps: optimizer steps.
        learning_rate: after the warm-up; falls to 0 by a cosine.
        data: a dataset folder; "" for the run's.
    """

    trainable: str
    steps: int
    learning_rate: float
    data: str = ""

    @property
    def parts(self) -> frozenset[str]:
        """What moves, one by one."""
        return frozenset(self.trainable.split("+"))

    def check(self) -> None:
        """Raises FormatError for values that cannot be meant."""
        if not self.parts <= set(TRAINABLE) or ("all" in self.parts and len(self.parts) > 1):
            raise FormatError(f"trainable {self.trainable!r}: give one of {', '.join(TRAINABLE)}, or lora+new-rows")
        if self.steps < 1 or not 0 < self.learning_rate < math.inf:
            raise FormatError(f"a stage of {self.steps} steps at learning rate {self.learning_rate}: both above 0")

    def rate(self, step: int, warmup_share: float) -> float:
        """Learning rate of a step, counted from 0."""
        warmup = max(1, round(self.steps * warmup_share))
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup)))


@dataclass(frozen=True)
class TrainSettings:
    """The run as a whole."""

    stages: tuple[Stage, ...] = ()
    seed: int = 0
    batch: int = 8
    """Rows of the dataset a step, of all processes together."""
    accumulate: int = 1
    """Parts that a batch is worked on in."""
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    warmup_share: float = 0.05
    mixed_precision: str = "no"
    """Of accelerate: no, bf16 or fp16. Weights are float32 in training, and stored as the model came."""
    lora_rank: int = 16
    lora_alpha: int = 32
    log_every: int = 20
    checkpoint_every: int = 200
    text: str = ""
    """Text file that retention is measured on; "" for a few sentences."""
    threads: int = 0
    """CPU threads; 0 leaves it to torch."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def check(self) -> None:
        """Raises FormatError for values that cannot be meant."""
        for least, names in LEAST.items():
            for name in names:
                if not least <= getattr(self, name) < math.inf:
                    raise FormatError(f"{name} is {getattr(self, name)}: it must be {least} or more")
        if not 0 <= self.warmup_share <= 1:
            raise FormatError(f"warmup_share is {self.warmup_share}: give a share of the steps, 0 to 1")
        if self.mixed_precision not in PRECISIONS:
            raise FormatError(f"mixed_precision is {self.mixed_precision!r}: give one of {', '.join(PRECISIONS)}")
        if not self.stages:
            raise FormatError("no stages: there is nothing to train")
        for stage in self.stages:
            stage.check()


def read_settings(arguments: Sequence[str]) -> TrainSettings:
    """Settings from YAML files and ``key=value``, later ones over earlier ones; ``stages.0.steps=10`` reaches inside.

    Raises:
        FormatError: no such file, an unknown key, a value of another type, or no stages.
    """
    import yaml

    plain: dict[str, Any] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        try:
            if equals:
                _put(plain, key.split("."), yaml.safe_load(value))
                continue
            read = yaml.safe_load(Path(argument).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise FormatError(f"{argument}: {' '.join(str(error).split())}: give a YAML file or key=value") from None
        if not isinstance(read, dict):
            raise FormatError(f"{argument} is no table of settings: write key: value, and a list of stages")
        plain |= read
    stages = plain.pop("stages", None)
    if not isinstance(stages, list) or not stages:
        raise FormatError("no stages: give a file with a list stages, each with trainable, steps and learning_rate")
    listed = tuple(_build(Stage, stage, f"stages.{i}.") for i, stage in enumerate(stages))
    settings: TrainSettings = _build(TrainSettings, {**plain, "stages": listed}, "")
    settings.check()
    return settings


def _put(plain: Any, keys: list[str], value: Any) -> None:
    for i, key in enumerate(keys):
        place: Any = int(key) if isinstance(plain, list) and key.isdigit() else key
        if isinstance(plain, list) and not (isinstance(place, int) and place < len(plain)):
            raise FormatError(f"{'.'.join(keys)}: there is no stage {key}; they are counted from 0")
        if i == len(keys) - 1:
            plain[place] = value
            return
        if isinstance(plain, dict) and not isinstance(plain.get(key), (dict, list)):
            raise FormatError(f"{'.'.join(keys)}: there is no {key} to set it in; give the file with the stages first")
        plain = plain[place]


def _build(kind: Any, plain: Any, where: str) -> Any:
    if not isinstance(plain, dict):
        raise FormatError(f"{where.rstrip('.')} is no table: write key: value")
    types = {f.name: str(f.type) for f in fields(kind)}
    for key in plain:
        if key not in types:
            raise FormatError(f"unknown setting {where}{key}; there are {', '.join(types)}")
    try:
        return kind(**{key: _typed(types[key], value, where + key) for key, value in plain.items()})
    except TypeError:
        needed = ", ".join(f.name for f in fields(kind) if f.default is MISSING)
        raise FormatError(f"{where.rstrip('.')} needs {needed}") from None


def _typed(kind: str, value: Any, key: str) -> Any:
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "str" and value is False:
        return "no"  # as YAML reads it
    if kind == "str" and value is not None:
        return str(value)
    if kind == "float" and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-3 as a string
        except ValueError:
            pass
    if kind.startswith("tuple"):
        return value
    raise FormatError(f"{key} is {value!r}: give a value of type {kind}")

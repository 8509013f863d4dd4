"""Recipes of the student and of the vocoder: flat YAML files, as those of codecs, told apart by their key ``task``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from codectok.errors import FormatError
from codectok.units.student import UnitCodecConfig
from train_codec.augment import Augment
from train_codec.recipe import fill_groups
from train_codec.settings import DataSettings, OptimizerSettings


@dataclass
class LoopSettings:
    """The run as a whole."""

    out: str = "runs/units"
    """Folder of the run: checkpoint.pt, log.jsonl, model/."""
    steps: int = 8000
    seed: int = 0
    threads: int = 1
    bf16: bool = True
    log_every: int = 100
    checkpoint_every: int = 250
    validate_every: int = 1000


@dataclass
class StudentSettings:
    """What the student learns from."""

    teacher: str = ""
    """Model folder or hub id of a speech encoder that transformers reads."""
    teacher_layer: int = 4
    teacher_dtype: str = "float32"
    teacher_tail_seconds: float = 0.0
    """Whisper only: silence after each clip instead of padding to its 30 s window; 0 for the whole window."""
    feature_weight: float = 1.0
    """Of the distance to the teacher's features."""
    unit_weight: float = 1.0
    """Of the cross-entropy with the teacher's own k-means units."""
    val_clips: int = 400
    codebook: str = "teacher"
    """``teacher``: its k-means centroids; ``own``: k-means on the student's own latents, at the end."""


@dataclass
class VocoderSettings:
    """What the vocoder is for, and what it learns from."""

    tokenizer: str = ""
    """Unit tokenizer: a model folder, or any name that ``codectok.load`` takes."""
    decoder: str = "speech"
    """Harmonic codec whose latents are predicted and whose decoder is built in."""
    start_from: str = ""
    """Vocoder folder of the same shape and speakers, for units of the same meaning, that a new run starts with."""
    speaker: str = ""
    """The one that speaks by default (of the splits' column ``speaker``); empty for whoever speaks most."""
    vocoder_dim: int = 256
    vocoder_depth: int = 6
    vocoder_ahead: int = 4
    """Frames of the decoder's network (20 ms) that are seen beyond their own."""
    mel_from: int = 10**9
    """Step from which on a mel loss through the decoder is added."""
    mel_weight: float = 1.0
    train_decoder: bool = False
    """Let the decoder learn too; from ``mel_from`` on it has a loss."""
    val_clips: int = 200


@dataclass
class TaskRecipe:
    """All settings of one run."""

    task: str
    data: DataSettings = field(default_factory=DataSettings)
    run: LoopSettings = field(default_factory=LoopSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    own: Any = None
    """StudentSettings or VocoderSettings."""
    config: Any = None
    """Of the student's codec; None for a vocoder."""
    augment: Augment = field(default_factory=Augment)

    def flat(self) -> dict[str, Any]:
        """All keys and their values, as a recipe file would give them."""
        groups = [getattr(self, f.name) for f in fields(self) if f.name != "task"]
        return {"task": self.task} | {k: v for g in groups if g is not None for k, v in asdict(g).items()}


SHARED: dict[str, type] = {"data": DataSettings, "run": LoopSettings, "optimizer": OptimizerSettings}
TASKS: dict[str, dict[str, type]] = {
    "units": {**SHARED, "own": StudentSettings, "config": UnitCodecConfig, "augment": Augment},
    "vocoder": {**SHARED, "own": VocoderSettings},
}


def load_task(values: dict[Any, Any]) -> TaskRecipe:
    """The recipe of flat ``values``.

    Raises:
        FormatError: no such task or key, or a value that is not of its type.
    """
    values = dict(values)
    task = str(values.pop("task", ""))
    if task not in TASKS:
        raise FormatError(f"recipe key task is {task!r}: give {' or '.join(TASKS)}, or leave it out to train a codec")
    recipe = TaskRecipe(task, **fill_groups(values, TASKS[task]))
    if task == "units" and recipe.own.codebook not in ("teacher", "own"):
        raise FormatError(f"codebook is {recipe.own.codebook!r}: give teacher or own")
    return recipe

"""Recipes of the student and of the vocoder: flat YAML files, as those of codecs, told apart by their key ``task``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from codectok.settings.build import flat
from codectok.settings.kinds import Count, Natural, NotNegative
from codectok.units.student import UnitCodecConfig
from train_codec.augment import Augment
from train_codec.settings import DataSettings, OptimizerSettings


@dataclass
class LoopSettings:
    """The run as a whole."""

    out: str = "runs/units"
    """Folder of the run: checkpoint.pt, log.jsonl, model/."""
    steps: Count = 8000
    """Updates in all."""
    seed: Natural = 0
    """Of everything that is drawn."""
    threads: Count = 1
    """CPU threads."""
    bf16: bool = True
    """Matrix products in bfloat16; losses stay float32."""
    log_every: Count = 100
    """Steps between lines of the log."""
    checkpoint_every: Count = 250
    """Steps between checkpoints."""
    validate_every: Count = 1000
    """Steps between validations."""


@dataclass
class StudentSettings:
    """What the student learns from."""

    teacher: str = ""
    """Model folder or hub id of a speech encoder that transformers reads."""
    teacher_layer: int = 4
    """Layer whose features are learnt, counted from 0, the encoder's input."""
    teacher_dtype: str = "float32"
    """The teacher's arithmetic: float32, bfloat16, or on a CPU int8."""
    teacher_tail_seconds: NotNegative = 0.0
    """Whisper only: silence after each clip instead of padding to its 30 s window; 0 for the whole window."""
    feature_weight: NotNegative = 1.0
    """Of the distance to the teacher's features."""
    unit_weight: NotNegative = 1.0
    """Of the cross-entropy with the teacher's own k-means units."""
    val_clips: Count = 400
    """Clips that are validated on, at most."""
    codebook: Literal["teacher", "own"] = "teacher"
    """``teacher``: its k-means centroids; ``own``: k-means on the student's own latents, at the end."""


@dataclass
class VocoderSettings:
    """What the vocoder is for, and what it learns from."""

    tokenizer: str = ""
    """Unit tokenizer: a model folder, or any name that ``codectok.load`` takes."""
    decoder: str = "speech-1"
    """Harmonic codec whose latents are predicted and whose decoder is built in."""
    start_from: str = ""
    """Vocoder folder of the same shape and speakers, for units of the same meaning, that a new run starts with."""
    speaker: str = ""
    """The one that speaks by default (of the splits' column ``speaker``); empty for whoever speaks most."""
    vocoder_dim: Count = 256
    """Width of the blocks."""
    vocoder_depth: Count = 6
    """ConvNeXt blocks."""
    vocoder_ahead: Natural = 4
    """Frames of the decoder's network (20 ms) that are seen beyond their own."""
    mel_from: Natural = 10**9
    """Step from which on there are losses of the audio, through the decoder: mel, and level where it has a weight."""
    mel_weight: NotNegative = 1.0
    """L1 of log-mel spectra."""
    level_weight: NotNegative = 0.0
    """Of the crop's level, whole and in octaves, as in a codec's recipe."""
    bands_weight: NotNegative = 0.0
    """Of the level of octaves in 20 ms frames."""
    excess_weight: NotNegative = 0.0
    """Of amplitude over the target's in octaves and frames: bursts."""
    ceiling_weight: NotNegative = 0.3
    """Of the decoder's ceilings, where it has them and learns."""
    train_decoder: bool = False
    """Let the decoder learn too; from ``mel_from`` on it has losses."""
    val_clips: Count = 200
    """Clips that are validated on, at most."""


@dataclass
class TaskRecipe:
    """What both have."""

    task: str
    """What is trained: units or vocoder."""
    data: DataSettings = field(default_factory=DataSettings)
    run: LoopSettings = field(default_factory=LoopSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)

    def flat(self) -> dict[str, Any]:
        """All keys and their values, as a recipe file would give them."""
        return flat(self)


@dataclass
class StudentRecipe(TaskRecipe):
    """An encoder of units, distilled from a speech model."""

    own: StudentSettings = field(default_factory=StudentSettings)
    config: UnitCodecConfig = field(default_factory=UnitCodecConfig)
    augment: Augment = field(default_factory=Augment)


@dataclass
class VocoderRecipe(TaskRecipe):
    """A voice for units."""

    own: VocoderSettings = field(default_factory=VocoderSettings)


TASKS: dict[str, type[TaskRecipe]] = {"units": StudentRecipe, "vocoder": VocoderRecipe}

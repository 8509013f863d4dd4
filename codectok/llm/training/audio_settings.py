"""Settings of a run on a manifest of audio: those of any run, and what the model is given of the audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from codectok.errors import FormatError
from codectok.llm.continuous.audio_input import AudioInput
from codectok.llm.training.settings import TrainSettings, read_values
from codectok.settings.build import build
from codectok.settings.explain import Setting, explain


@dataclass(frozen=True)
class AudioTrainSettings:
    """A run on a manifest."""

    run: TrainSettings = field(default_factory=TrainSettings)
    audio: AudioInput = field(default_factory=AudioInput)

    def check(self) -> None:
        """Raises FormatError for values that cannot be meant together."""
        self.run.check()
        for stage in self.run.stages:
            if "new-rows" in stage.parts and self.audio.input != "discrete":
                raise FormatError(
                    f"trainable {stage.trainable} with input {self.audio.input}: only discrete input has new rows; "
                    "adapter means them there, and the projector elsewhere"
                )
        if self.audio.with_ctc and "labels" in self.audio.projector_options:
            raise FormatError("projector_options labels: the labels of ctc are the letters of the transcripts")


def names_audio_input(arguments: Sequence[str]) -> bool:
    """Whether settings have the key ``input``, which makes a run one on a manifest of audio."""
    return "input" in read_values(arguments).plain


def read_audio_settings(arguments: Sequence[str]) -> AudioTrainSettings:
    """Settings from YAML files and ``key=value``.

    Raises:
        FormatError: no such file, an unknown key, or a value that is not what its field may be.
    """
    settings = build(AudioTrainSettings, read_values(arguments))
    settings.check()
    return settings


def explain_audio_settings(arguments: Sequence[str]) -> list[Setting]:
    """Every setting; arguments and errors as :func:`read_audio_settings`."""
    return explain(AudioTrainSettings, read_values(arguments))

"""Running a recipe that has a ``task``."""

from __future__ import annotations

from pathlib import Path

from train_codec.student.loop import Loop
from train_codec.student.settings import StudentRecipe, TaskRecipe, VocoderRecipe


def run_task(recipe: TaskRecipe) -> Path:
    """Train (or go on with) what a recipe says; returns the folder of the result.

    Raises:
        FormatError: a checkpoint that does not fit.
    """
    loop: Loop
    if isinstance(recipe, StudentRecipe):
        from train_codec.student.distil import StudentLoop

        loop = StudentLoop(recipe)
    else:
        from train_codec.student.vocoder import VocoderLoop

        assert isinstance(recipe, VocoderRecipe)
        loop = VocoderLoop(recipe)
    loop.run()
    return loop.export()

"""Running a recipe that has a ``task``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from train_codec.student.loop import Loop
from train_codec.student.settings import load_task


def run_task(values: dict[Any, Any]) -> Path:
    """Train (or go on with) the task of flat recipe values; returns the folder of the result.

    Raises:
        FormatError: a recipe or checkpoint that does not fit.
    """
    recipe = load_task(values)
    loop: Loop
    if recipe.task == "units":
        from train_codec.student.distil import StudentLoop

        loop = StudentLoop(recipe)
    else:
        from train_codec.student.vocoder import VocoderLoop

        loop = VocoderLoop(recipe)
    loop.run()
    return loop.export()

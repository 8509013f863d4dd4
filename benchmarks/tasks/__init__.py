"""Tasks by name. Their modules are imported when one is asked for."""

from __future__ import annotations

from importlib import import_module

from benchmarks.tasks.base import Assignment, Task, TaskContext, TaskError

__all__ = ["Assignment", "Task", "TaskContext", "TaskError", "get_task", "task_names"]

_TASKS = {
    "asr": "recognition:ASR",
    "pr": "recognition:PR",
    "er": "classification:ER",
    "ic": "classification:IC",
    "ks": "classification:KS",
    "si": "classification:SI",
    "lid": "classification:LID",
    "sv": "verification:SV",
    "st": "translation:ST",
    "se": "enhancement:SE",
    "ss": "separation:SS",
    "tts": "speech_synthesis:TTS",
    "resynthesis": "resynthesis:RESYNTHESIS",
}
"""Name -> module under this package and its Task object."""


def task_names() -> tuple[str, ...]:
    """Names of all tasks."""
    return tuple(_TASKS)


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        TaskError: there is none.
    """
    if name not in _TASKS:
        raise TaskError(f"no task {name!r}; there are {', '.join(_TASKS)}")
    module, _, attribute = _TASKS[name].partition(":")
    task: Task = getattr(import_module(f"benchmarks.tasks.{module}"), attribute)
    return task

"""Tasks by name. Their modules are imported when one is asked for."""

from __future__ import annotations

from codectok import registry

from .task import Assignment, Task, TaskContext, TaskError

__all__ = ["Assignment", "Task", "TaskContext", "TaskError", "computed_by", "get_task", "task_names"]

TASKS: registry.Table[Task] = registry.Table("tasks")


def task_names() -> tuple[str, ...]:
    """Names of all tasks."""
    return tuple(TASKS)


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownNameError: there is none.
        TaskError: another package's, which is no Task.
    """
    task = TASKS[name]
    if not isinstance(task, Task):
        raise TaskError(f"the task {name} is a {type(task).__name__}: its entry point must be a Task")
    return task


def computed_by(metric: str) -> list[str]:
    """Names of the tasks that compute a metric without being asked to."""
    return [name for name in task_names() if metric in get_task(name).metrics]

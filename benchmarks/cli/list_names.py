"""`codectok bench list`."""

from __future__ import annotations

import click

from codectok.cli.console import Row, handle_errors, print_table
from codectok.cli.help import command

KINDS = ("suites", "tasks", "inputs", "probes", "metrics", "datasets")


@command("list")
@click.argument("what", type=click.Choice(KINDS), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@handle_errors
def list_names(what: str | None, as_json: bool) -> None:
    """List what suites can name: suites, tasks, inputs, probes, metrics or datasets; default suites.

    \b
    Examples:
      codectok bench list
      codectok bench list tasks
    """
    print_table("", _TABLES[what or "suites"](), as_json)


def _suites() -> list[Row]:
    from ..runner.suite import read_suite, suite_names

    many = [(name, read_suite(name)) for name in suite_names()]
    return [{"suite": n, "tasks": " ".join(dict.fromkeys(e.task for e in s.tasks)), "about": s.about} for n, s in many]


def _tasks() -> list[Row]:
    from ..tasks import get_task, task_names

    return [
        {"task": t.name, "label": t.label, "metrics": " ".join(t.metrics), "probes": " ".join(t.probes) or "-"}
        for t in map(get_task, task_names())
    ]


def _inputs() -> list[Row]:
    from ..inputs import INPUTS

    return [{"input": name, "about": about} for name, about in INPUTS.items()]


def _probes() -> list[Row]:
    from ..tasks import get_task, task_names

    tasks = [get_task(name) for name in task_names()]
    names = dict.fromkeys(p for t in tasks for p in t.probes)
    return [
        *({"probe": name, "tasks": " ".join(t.name for t in tasks if name in t.probes)} for name in names),
        {"probe": "llm:ARM", "tasks": "a causal language model; arms and options: see the suite study"},
    ]


def _metrics() -> list[Row]:
    from codectok.metrics import get_metric, metric_names

    from ..tasks import computed_by
    from ..tasks.scoring import CLIP_KINDS

    return [
        {
            "metric": m.name,
            "tasks": " ".join(computed_by(m.name)) or "those of sound, by options.metrics",
            "unit": m.unit or "-",
            "better": "nearer 0" if m.signed else "higher" if m.higher_is_better else "lower",
            "install": m.install or "-",
            "reference": m.reference,
        }
        for m in map(get_metric, metric_names())
        if computed_by(m.name) or m.kind in CLIP_KINDS
    ]


def _datasets() -> list[Row]:
    from ..datasets import DATASETS

    return [{"dataset": d.name, "task": d.task, "folder": d.folder or "in the package"} for d in DATASETS.values()]


_TABLES = {
    "suites": _suites,
    "tasks": _tasks,
    "inputs": _inputs,
    "probes": _probes,
    "metrics": _metrics,
    "datasets": _datasets,
}

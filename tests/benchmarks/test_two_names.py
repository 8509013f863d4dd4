"""In a clone, `benchmarks` and `codectok_benchmarks` are one package."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "lines",
    [
        "import benchmarks.tasks.task as a; import codectok_benchmarks.tasks.task as b",
        "import benchmarks; from codectok_benchmarks.tasks import task as b; from benchmarks.tasks import task as a",
        "import benchmarks; import codectok_benchmarks.probes.probe as b; import benchmarks.probes.probe as a",
    ],
)
def test_a_module_is_the_same_by_both_names(lines):
    code = f"{lines}; print(a is b, a.__spec__.name)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True benchmarks.")


def test_another_package_that_imports_the_installed_name_first():
    code = (
        "import sys; from codectok import registry; registry._outside = lambda: {}; "
        "task = registry.find('tasks', 'asr'); import codectok_benchmarks.tasks; "
        "print(isinstance(task, codectok_benchmarks.tasks.Task))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "True\n", done.stderr

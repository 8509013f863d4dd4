"""examples/plugin: a package of its own that adds one of ten kinds, with nothing else touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from codectok import registry

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "examples/plugin"
ENTRIES = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]["entry-points"]
KINDS = {group.removeprefix("codectok."): next(iter(names)) for group, names in ENTRIES.items()}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of using all of it in a process that has it installed."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(PLUGIN, folder / "source")
    quiet = ["-q", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *quiet, "--target", str(folder / "site"), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder / "site")])}
    command = [sys.executable, "-m", "tests.plugin_uses", str(folder / "uses")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_it_is_tiny_and_adds_ten_kinds() -> None:
    assert len(KINDS) == 10
    files = [path for path in PLUGIN.rglob("*") if path.suffix in (".py", ".toml")]
    assert sum(len(path.read_text().splitlines()) for path in files) < 150


@pytest.mark.parametrize(("kind", "name"), KINDS.items())
def test_each_is_listed_with_its_package_and_what_it_is(found: dict[str, Any], kind: str, name: str) -> None:
    line = next(line for line in found["listed"][kind].splitlines() if line.split()[:1] == [name])
    assert line.split()[1] == "codectok-example"
    assert len(line.split()) > 3


def test_its_tokenizer_format_and_manifest_make_a_store(found: dict[str, Any]) -> None:
    assert found["readers"] == ["0", "1"]
    assert found["store_formats"] == ["plain", "jsonl"]
    assert found["tokenizers"] == ["crossings", 25, [True, True]]


def test_its_corpus_is_prepared(found: dict[str, Any]) -> None:
    assert found["corpora"] == 6


def test_units_are_fitted_on_its_encoder(found: dict[str, Any]) -> None:
    sizes, loud, quiet = found["encoders"]
    assert sizes == [4]
    assert loud
    assert quiet
    assert not set(loud) & set(quiet)


def test_its_metric_and_pattern(found: dict[str, Any]) -> None:
    values, failures = found["metrics"]
    assert values["offset"] == pytest.approx(25.0, abs=0.01)
    assert not failures
    assert found["patterns"] == [{"pattern": "reversed"}, "b0 a0 b1 a1", True]


def test_its_task_data_set_and_probe_make_a_row(found: dict[str, Any]) -> None:
    assert [found[kind] for kind in ("tasks", "datasets", "probes")] == ["volume", "memos-volume", "gate"]
    assert found["scores"][0]["metric"] == "accuracy"
    assert found["scores"][0]["failures"] == 0


PAGE = (ROOT / "docs/plugins.md").read_text()


def test_the_page_knows_every_kind() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert set(rows) == set(KINDS)
    more = PAGE[PAGE.index("More kinds") :].partition("\n\n")[0]
    assert {*rows, *re.findall(r"`(\w+)`", more)} >= set(registry.kinds())


def test_the_decorator_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_added", {})
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", np.zeros(100), 16000)
    block = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[-1]
    exec(compile(block, "plugins.md", "exec"), {})

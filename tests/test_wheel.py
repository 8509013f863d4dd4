"""The wheel: what it installs, under which names, and that its commands run without the repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools")

ROOT = Path(__file__).parents[1]
PARTS = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE", "codectok", "train_codec", "kmeans_units")
AWAY = shutil.ignore_patterns("__pycache__", "results", "gpl")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the repository gets no build folder; the clips of ``gpl`` are in no wheel."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    shutil.copytree(ROOT / "benchmarks", source / "benchmarks", ignore=AWAY)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), "."]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment that has the wheel, and all else from the one the tests run in."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)})
    (Path(packages) / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def run(*command: str | Path, cwd: Path, status: int = 0) -> str:
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(cwd)}
    done = subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def test_a_wheel_has_four_packages_and_their_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"codectok", "train_codec", "kmeans_units", "codectok_benchmarks"}
    for package, folder in (("codectok_benchmarks", "benchmarks"), ("codectok", "codectok"), ("kmeans_units",) * 2):
        for path in (ROOT / folder).rglob("*.py"):
            assert f"{package}/{path.relative_to(ROOT / folder).as_posix()}" in names
    assert {"codectok/py.typed", "codectok/pretrained/units/bpe.json", "train_codec/recipes/tiny.yaml"} <= names
    assert {"codectok_benchmarks/speech/splits.tsv", "codectok_benchmarks/speech/ATTRIBUTION.md"} <= names
    assert {"codectok_benchmarks/suites/mini.yaml", "codectok_benchmarks/mini/clips.tsv"} <= names
    assert any(name.startswith("codectok_benchmarks/mini/cc/") and name.endswith(".opus") for name in names)


def test_its_commands_run_away_from_the_repository(installed: Path, tmp_path: Path) -> None:
    code = "import importlib.util as u; print(u.find_spec('benchmarks'), u.find_spec('codectok_benchmarks').origin)"
    none, place = run(installed / "python", "-c", code, cwd=tmp_path).split()
    assert none == "None"
    assert str(installed.parent) in place
    assert "linear" in run(installed / "codectok", "bench", "list", "probes", cwd=tmp_path)
    planned = run(installed / "codectok", "bench", "run", "mini-quick", "--dry-run", cwd=tmp_path)
    assert "cells" in planned


def test_a_first_run_of_training_needs_no_clone(installed: Path, tmp_path: Path) -> None:
    """It finds its clips in the installed package; data that are nowhere are one line."""
    done = run(installed / "codectok", "train", "tiny", "tensorboard=false", cwd=tmp_path)
    assert "wrote runs/tiny/model" in done
    assert "kind            tokenizer" in run(installed / "codectok", "info", "runs/tiny/model", cwd=tmp_path)
    line = run(installed / "codectok", "train", "tiny", "data=benchmarks/nowhere", cwd=tmp_path, status=2)
    assert "data=benchmarks/nowhere is no folder: give the one" in line


def test_without_its_data_it_says_how_to_get_them(installed: Path, tmp_path: Path) -> None:
    command = (installed / "codectok", "bench", "run", "mini-quick", "--only", "sv/logmel", "--seeds", "1")
    printed = run(*command, "--workers", "0", "-o", tmp_path / "out", cwd=tmp_path, status=2)
    reasons = [line for line in printed.splitlines() if "not computed" in line]
    assert len(reasons) == 1
    assert "run from a clone" in reasons[0]

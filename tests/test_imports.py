"""Imports go one way, and importing codectok stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "codectok": {"codectok"},
    "train_codec": {"codectok", "train_codec"},
    "kmeans_units": {"codectok", "kmeans_units"},
    "benchmarks": {"codectok", "train_codec", "kmeans_units", "benchmarks"},
}
CONCRETE = ("codectok.codec", "codectok.units", "codectok.controls")


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_one_way(package: str) -> None:
    ours = set(MAY_IMPORT)
    for path in (ROOT / package).rglob("*.py"):
        roots = {name.split(".")[0] for name in imported(path)} & ours
        assert roots <= MAY_IMPORT[package], f"{path.relative_to(ROOT)} imports {roots - MAY_IMPORT[package]}"


@pytest.mark.parametrize("room", ["items", "corpus", "llm", "metrics", "store", "inspect"])
def test_rooms_know_no_concrete_model(room: str) -> None:
    for path in (ROOT / "codectok" / room).rglob("*.py"):
        concrete = [name for name in imported(path) if name.startswith(CONCRETE)]
        assert not concrete, f"{path.relative_to(ROOT)} imports {concrete}"


def test_importing_codectok_is_light() -> None:
    heavy = ("torch", "numpy", "soundfile", "transformers")
    code = f"import sys, codectok; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"

"""What each package imports is declared in pyproject.toml, and what is declared is imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("codectok", "train_codec", "kmeans_units", "benchmarks")
EXTRAS = {
    "codectok": {"units", "llm", "train", "bench", "scale", "torchaudio"},
    "train_codec": {"train", "units"},
    "kmeans_units": {"units", "bench"},
    "benchmarks": {"bench", "llm", "units", "dev"},
}
"""Extras whose libraries a package may import inside functions; dev: what benchmarks compares with."""
AT_THE_TOP = {
    "train_codec": {"accelerate"},
    "codectok.llm": {"tokenizers", "transformers", "peft"},
    "benchmarks": {"matplotlib", "tokenizers"},
    "kmeans_units": {"tokenizers"},
}
"""Libraries of extras that may be imported with a module: its commands are refused without them."""
ONLY_WHERE_THEY_ARE = {"resemblyzer", "visqol", "vllm"}
"""Libraries of users' own, in no extra: what needs them says so."""
INDIRECT = {
    "librosa": "speechmos imports it and does not declare it",
    "tensorboard": "torch.utils.tensorboard needs it",
    "webrtcvad-wheels": "imported as webrtcvad",
}


def distributions(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[<>=!~\[; ]", r)[0]) for r in requirements}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


CORE = distributions(PROJECT["dependencies"])
OPTIONAL = {name: distributions(r) - {"codectok"} for name, r in PROJECT["optional-dependencies"].items()}
OF_MODULE = {module: {normal(d) for d in found} for module, found in packages_distributions().items()}


def imports(path: Path, *, at_the_top: bool) -> Iterator[str]:
    """Top-level names of other people's modules; ``at_the_top`` leaves out those inside functions and for types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(tree.body) if at_the_top else list(ast.walk(tree))
    for node in nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in (n.partition(".")[0] for n in names):
            if name not in sys.stdlib_module_names and name not in (*PACKAGES, "codectok_benchmarks", "tests"):
                yield name


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_imported_is_declared(package: str) -> None:
    declared = CORE.union(*(OPTIONAL[extra] for extra in EXTRAS[package]))
    for module, path in modules(package):
        for name in set(imports(path, at_the_top=False)) - ONLY_WHERE_THEY_ARE:
            found = OF_MODULE.get(name, {name})
            assert found & declared, f"{module} imports {name}: declare {sorted(found)} in pyproject.toml"


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_import_the_core_alone(package: str) -> None:
    for module, path in modules(package):
        allowed = set().union(*(names for room, names in AT_THE_TOP.items() if f"{module}.".startswith(f"{room}.")))
        for name in set(imports(path, at_the_top=True)) - allowed:
            assert OF_MODULE.get(name, {name}) & CORE, f"{module} imports {name}, which is not in every installation"


def test_what_is_declared_is_imported() -> None:
    used = {name for package in PACKAGES for _, path in modules(package) for name in imports(path, at_the_top=False)}
    needed = set().union(*(OF_MODULE.get(name, {name}) for name in used))
    declared = CORE.union(*(OPTIONAL[extra] for extra in ("units", "llm", "train", "bench", "scale")))
    assert declared - needed - INDIRECT.keys() == set()

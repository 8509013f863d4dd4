"""Who imports whom, read from the source: imports inside functions and under TYPE_CHECKING count like any other."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("codectok", "train_codec", "kmeans_units", "benchmarks")


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Name and file of every module; a package goes by its own name."""
    found = {}
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path) -> set[str]:
    """Full names of what a file imports: of modules, and of what is taken out of them."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def graph(root: Path = ROOT) -> dict[str, set[str]]:
    """Every module with those of the project that it imports."""
    known = modules(root)
    edges: dict[str, set[str]] = {}
    for name, path in known.items():
        taken = imported(name, path)
        edges[name] = {t if t in known else t.rpartition(".")[0] for t in taken} & set(known) - {name}
    return edges


def circle(edges: Mapping[str, Set[str]]) -> list[str]:
    """Modules that import each other in a ring, the first of them again at the end; [] where there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []

"""There is one place that reads settings."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.import_graph import modules


def test_yaml_is_read_in_one_place() -> None:
    readers = {module for module, path in modules().items() if any(n.startswith("yaml.") for n in takes(path))}
    assert readers == {"codectok.settings.yaml_text", "benchmarks.runner.suite"}  # which writes a suite's copy


def takes(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    whole = {f"{alias.name}." for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return whole | {f"{node.module}." for node in nodes if isinstance(node, ast.ImportFrom)}

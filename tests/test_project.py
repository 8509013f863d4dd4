"""What stands in one place, and what the project's own pages promise."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import codectok

ROOT = Path(__file__).parents[1]


def test_changelog_knows_the_version() -> None:
    versions = re.findall(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
    assert versions[0] == codectok.__version__


def test_version_is_typed_once() -> None:
    assert codectok.__version__ not in (ROOT / "pyproject.toml").read_text()
    assert importlib.metadata.version("codectok") == codectok.__version__


def test_public_names_exist_and_are_documented() -> None:
    for package in ("codectok", "codectok.store", "codectok.llm", "codectok.units", "codectok.metrics"):
        module = importlib.import_module(package)
        assert len(set(module.__all__)) == len(module.__all__)
        for name in module.__all__:
            assert getattr(module, name).__doc__, f"{package}.{name} has no docstring"

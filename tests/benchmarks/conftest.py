"""Trees in the layouts of real data sets, each built once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from tests.benchmarks.trees import TREES, make_tree


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The root of a tree that is built once for all data sets of its layout."""

    @lru_cache
    def build(layout: str) -> Path:
        return make_tree(layout, tmp_path_factory.mktemp("tree"))

    return lambda name: build(next(prefix for prefix in TREES if name.startswith(prefix)))


@pytest.fixture
def tree(built: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of it, to be changed."""
    return lambda name: Path(shutil.copytree(built(name), tmp_path / "data"))

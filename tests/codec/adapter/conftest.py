"""One small model of each family, saved and opened once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import codectok
from tests.codec.adapter.models import saved


@dataclass(frozen=True)
class Pair:
    """A model of transformers, and the same opened by ``hf:`` from its folder."""

    kind: str
    model: Any
    tok: Any
    folder: Path

    def __iter__(self) -> Any:
        return iter((self.model, self.tok))


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of a ``model_type``."""

    @cache
    def make(kind: str) -> Pair:
        folder = tmp_path_factory.mktemp(kind) / "model"
        model = saved(kind, folder)
        return Pair(kind, model, codectok.load(f"hf:{folder}"), folder)

    return make

"""The clips that ship, where a recipe names them by their place in the repository."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PLACE, PACKAGE = "benchmarks", "codectok_benchmarks"


def shipped(path: str) -> str:
    """``benchmarks/...`` as it is where it is there; else its place in the installed package, if it has it."""
    first, _, rest = path.partition("/")
    if first != PLACE or Path(path).exists():
        return path
    found = importlib.util.find_spec(PACKAGE)
    for folder in (found and found.submodule_search_locations) or ():
        if (Path(folder) / rest).exists():
            return str(Path(folder) / rest)
    return path

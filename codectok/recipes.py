"""Flat recipes: a YAML file of keys and values, by path or packaged name, and ``key=value`` over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codectok.errors import FormatError


def read_values(path: str, overrides: Sequence[str], packaged: Path) -> dict[Any, Any]:
    """Keys and values of a recipe.

    Args:
        path: a YAML file, or the name of one in ``packaged``.
        overrides: ``key=value`` each; an empty value is "".
        packaged: folder of the recipes that have names.

    Raises:
        FormatError: no such recipe, or not YAML of keys and values.
    """
    file = Path(path)
    if not file.is_file():
        file = packaged / f"{path}.yaml"
    if not file.is_file():
        names = sorted(p.stem for p in packaged.glob("*.yaml"))
        raise FormatError(f"no recipe {path!r}: give a YAML file or one of {', '.join(names)}")
    values = _parse(file.read_text(encoding="utf-8", errors="replace"), str(file)) or {}
    if not isinstance(values, dict):
        raise FormatError(f"{file} is not a recipe: write key: value lines")
    for item in overrides:
        key, sign, value = item.partition("=")
        if not sign:
            raise FormatError(f"{item!r} is not key=value")
        values[key] = "" if value == "" else _parse(value, repr(item))
    return values


def _parse(text: str, where: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise FormatError(f"{where} is not YAML ({reason}): write key: value lines, or key=value arguments") from None

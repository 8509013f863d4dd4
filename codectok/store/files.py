"""JSON files and checksums of a store."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from codectok.atomic import atomic_path
from codectok.errors import FormatError


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FormatError: not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise FormatError(f"{path} is damaged (not JSON): make the store again") from e
    if not isinstance(value, dict):
        raise FormatError(f"{path} is damaged (not a JSON object): make the store again")
    return value


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()

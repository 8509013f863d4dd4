"""Files of a store: JSON, checksums, whose shards are whose; a disk that takes no more, said in one line."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codectok.errors import CodectokError, FormatError
from codectok.files.atomic import atomic_path
from codectok.files.full_disk import REMEDIES


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """Write JSON, whole."""
    with atomic_path(path) as partial, open(partial, "w", encoding="utf-8", newline="\n") as f:
        f.write(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FormatError: not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (RecursionError, ValueError) as e:
        raise FormatError(f"{path} is damaged (not JSON): make the store again", path=path) from e
    if not isinstance(value, dict):
        raise FormatError(f"{path} is damaged (not a JSON object): make the store again", path=path)
    return value


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def checksum(value: dict[str, Any]) -> str:
    """Hex sha256 of a JSON object, its entry ``sha256`` apart, however it is laid out."""
    rest = {key: entry for key, entry in value.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def part_numbers(num_shards: int, part: tuple[int, int] | None) -> range:
    """Numbers of the shards that part (i, n), from 1, of a job makes: every n-th, so that all parts take equally long
    where a corpus has its long recordings together.

    Raises:
        CodectokError: no such part.
    """
    if part is None:
        return range(num_shards)
    i, n = part
    if not 1 <= i <= n:
        raise CodectokError(f"there is no part {i} of {n}: give I/N with I from 1 to N")
    return range(i - 1, num_shards, n)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn a full disk, a quota or a missing permission into one line with a remedy; other errors pass.

    Raises:
        CodectokError: ``out`` takes no more.
    """
    try:
        yield
    except OSError as e:
        remedy = REMEDIES.get(e.errno or 0)
        if remedy is None:
            raise
        reason = os.strerror(e.errno or 0).lower()
        raise CodectokError(
            f"cannot write to {out} ({reason}): {remedy} and run the same command again; finished shards are kept"
        ) from e

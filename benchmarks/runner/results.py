"""A folder of results: rows as they are finished, in the order of the plan in the end; items and audio beside them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from codectok.errors import CodectokError, FormatError
from codectok.files.atomic import atomic_path
from codectok.files.folder_lock import FolderLock
from codectok.files.full_disk import named

Row = dict[str, Any]
ROWS, SUITE, OLD = "results.jsonl", "suite.yaml", "results-old.jsonl"
NOT_SETTLED = ("cost", "provenance")
"""Parts of a row that differ from run to run; all others are the same for the same id."""
TIMED = ("rtf",)
"""Scores that are times."""


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
    """Rows of a results folder or of its ``results.jsonl``; a last line that was cut off is left out.

    Raises:
        FormatError: no such file, or another line that is not a row.
    """
    file = Path(path) / ROWS if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise FormatError(f"no results at {path}: give a folder that codectok bench run made", path=path)
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or "cell" not in row:
            if number == len(lines):  # the only line without a newline at its end
                break
            raise FormatError(
                f"line {number} of {file} is not a row of results: remove it, and run the suite again", path=file
            )
        rows.append(row)
    return rows


def settled(row: Row) -> Row:
    """A row without what differs from run to run: cost, provenance, and scores that are times."""
    same = {k: v for k, v in row.items() if k not in NOT_SETTLED}
    return same | {"scores": [s for s in row["scores"] if s["metric"] not in TIMED]}


class Results:
    """The results folder of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """For the length of a with block, no other run writes here.

        Raises:
            CodectokError: another run does.
        """
        with FolderLock(self.folder):
            yield

    def rows(self) -> list[Row]:
        """What is there; [] in a new folder."""
        return read_rows(self.folder) if (self.folder / ROWS).is_file() else []

    def kept(self) -> str:
        """What a stop leaves."""
        done = sum(row["status"] == "done" for row in self.rows())
        return f"{done} cells are in {self.folder / ROWS}: the same command goes on from there"

    def append(self, row: Row) -> None:
        """One more row, on disk when this returns."""
        with named(self.folder / ROWS), open(self.folder / ROWS, "a", encoding="utf-8") as file:
            file.write(_line(row))
            file.flush()
            os.fsync(file.fileno())

    def order(self, rows: Sequence[Row], ids: Sequence[str]) -> list[Row]:
        """Write the rows that have these ids in their order, one each, the last of each; put others aside.

        Rows put aside by an earlier run come back where they are asked for: their items and audio are still there.

        Returns:
            The rows kept.
        """
        aside = read_rows(self.folder / OLD) if (self.folder / OLD).is_file() else []
        known = {row["cell"]: row for row in [*aside, *rows]}
        kept = [known.pop(i) for i in ids if i in known]
        # First into one file, then out of the other: killed in between, a row is in both, never in none.
        if known:
            self.write_text(OLD, "".join(map(_line, {r["cell"]: r for r in [*aside, *known.values()]}.values())))
        self.write_text(ROWS, "".join(map(_line, kept)))
        if aside:
            self.write_text(OLD, "".join(map(_line, known.values())))
        return kept

    def check_suite(self, name: str) -> None:
        """That the folder is new or of this suite.

        Raises:
            CodectokError: it has results of another.
        """
        others = dict.fromkeys(row["suite"] for row in self.rows() if row.get("suite", name) != name)
        if others:
            raise CodectokError(f"{self.folder} has results of suite {', '.join(others)}, not {name}: give another -o")

    def write_text(self, name: str, text: str) -> None:
        """A file beside the rows, whole or not at all."""
        with atomic_path(self.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"

"""Labels in time: which phone (or word) is heard from when to when, read from a table, and laid onto frames.

The table is tab-separated with a header ``path onset offset label`` (``phone`` is taken for ``label``): one row a
segment, times in seconds from the start of the clip. ``path`` is that of the audio file relative to the corpus, or the
clip's id.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np

from codectok.errors import FormatError
from codectok.files.atomic import atomic_path
from codectok.items.tables import table_rows

SILENCE = "SIL"
"""The label of what is not speech."""


@dataclass(frozen=True, slots=True)
class Segment:
    """``label`` is heard from ``onset`` to ``offset``, in seconds."""

    onset: float
    offset: float
    label: str


def read_segments(path: str | os.PathLike[str]) -> dict[str, list[Segment]]:
    """Read a table of labels: the segments of each clip, in time.

    Raises:
        FormatError: no such columns, no rows, times that are none, or segments of a clip that overlap.
    """
    found: dict[str, list[Segment]] = {}
    for number, row in table_rows(Path(path), ("path", "onset", "offset")):
        label = row.get("label", row.get("phone"))
        if label is None:
            raise FormatError(
                f"{path} has no column label: it needs the columns path, onset, offset and label", path=path
            )
        try:
            segment = Segment(float(row["onset"]), float(row["offset"]), label.strip())
        except ValueError:
            raise FormatError(f"line {number} of {path} has no onset and offset in seconds", path=path) from None
        if not (0 <= segment.onset < segment.offset < math.inf and segment.label):
            raise FormatError(f"line {number} of {path} is no segment: 0 <= onset < offset, and a label", path=path)
        found.setdefault(row["path"], []).append(segment)
    if not found:
        raise FormatError(f"{path} has no labels", path=path)
    for clip, segments in found.items():
        segments.sort(key=lambda s: s.onset)
        for before, after in itertools.pairwise(segments):
            if after.onset < before.offset - 1e-6:
                raise FormatError(
                    f"labels of {clip} in {path} overlap at {after.onset:g} s: one label at a time", path=path
                )
    return found


def write_segments(path: str | os.PathLike[str], clips: Mapping[str, Sequence[Segment]]) -> None:
    """Write a table that :func:`read_segments` reads, whole or not at all; times to a tenth of a millisecond."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write("path\tonset\toffset\tphone\n")
        for clip, segments in clips.items():
            file.writelines(f"{clip}\t{s.onset:.4f}\t{s.offset:.4f}\t{s.label}\n" for s in segments)


def labels_of_files(table: str | os.PathLike[str], files: Sequence[Path]) -> dict[Path, list[Segment]]:
    """The segments of each file that a table of labels names, by the end of the file's path or by its name.

    Raises:
        FormatError: as :func:`read_segments`.
    """
    clips = read_segments(table)
    names = ClipNames(clips)
    found = {}
    for file in files:
        ends = ["/".join(file.absolute().parts[i:]).removeprefix("//") for i in range(1, len(file.absolute().parts))]
        name = names.find(file.absolute().as_posix(), *ends, file.stem)
        if name is not None:
            found[file] = clips[name]
    return found


class ClipNames:
    """Finds a clip by any of its names: path, path without its suffix (the id), or bare name where only one has it.

    Args:
        names: of the clips.
        ids: the name of each id, where a clip's id is not its path without the suffix.
    """

    def __init__(self, names: Iterable[str], ids: Mapping[str, str] | None = None) -> None:
        self._names: dict[str, str | None] = {}
        exact = {_posix(n): n for n in names}
        for key, name in exact.items():
            self._names[key] = name
        for id, name in (ids or {}).items():
            self._names.setdefault(_posix(id), name)
        ways: tuple[Callable[[PurePosixPath], str], ...]
        ways = (lambda p: p.with_suffix("").as_posix(), lambda p: p.name, lambda p: p.stem)
        for short in ways:
            counted: dict[str, list[str]] = {}
            for key, name in exact.items():
                counted.setdefault(short(PurePosixPath(key)), []).append(name)
            for key, known in counted.items():
                self._names.setdefault(key, known[0] if len(known) == 1 else None)

    def find(self, *candidates: str) -> str | None:
        """The clip that the first known candidate means; None if none is known, or only by a name that several have."""
        for candidate in candidates:
            name = self._names.get(_posix(candidate))
            if name is not None:
                return name
        return None


def _posix(name: str) -> str:
    return Path(name).as_posix()


def frame_labels(
    segments: Sequence[Segment],
    num_frames: int,
    frame_rate: Fraction,
    index: Mapping[str, int],
    start: Fraction = Fraction(0),
) -> np.ndarray:
    """The label heard in the middle of each frame, int64 [num_frames]; -1 where there is none.

    Frame t stands for the seconds from ``start + t / frame_rate`` to ``start + (t + 1) / frame_rate``.

    Args:
        segments: in time, as read.
        num_frames: T.
        frame_rate: Hz.
        index: the number of each label.
        start: of frame 0, in seconds; before the clip where it is negative.
    """
    found = np.full(num_frames, -1, dtype=np.int64)
    middles = float(start) + (np.arange(num_frames) + 0.5) / float(frame_rate)
    onsets = np.array([s.onset for s in segments])
    offsets = np.array([s.offset for s in segments])
    labels = np.array([index.get(s.label, -1) for s in segments], dtype=np.int64)
    at = np.searchsorted(onsets, middles, side="right") - 1
    inside = (at >= 0) & (middles < offsets[at.clip(0)]) if len(segments) else np.zeros(num_frames, dtype=bool)
    found[inside] = labels[at[inside]]
    return found

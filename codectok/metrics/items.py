"""Item files of ABX: which stretches of which files are compared, read, written, and made from phone labels.

The format of libri-light and fastabx: a header, then a line an item, separated by spaces::

    #file onset offset #phone prev-phone next-phone speaker
    6295-244435-0009 0.2925 0.4725 IH L NG 6295

Times are in seconds. An item of a triphone spans all three phones; its label is that of the middle one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from codectok.errors import FormatError
from codectok.files.atomic import atomic_path
from codectok.metrics.segments import SILENCE, Segment

_HEADER = ("#file", "onset", "offset", "#phone", "prev-phone", "next-phone", "speaker")


@dataclass(frozen=True, slots=True)
class AbxItem:
    """One stretch of speech: ``phone`` between ``before`` and ``after``, by ``speaker``; exact times in seconds."""

    file: str
    onset: Fraction
    offset: Fraction
    phone: str
    before: str
    after: str
    speaker: str

    def frames(self, frame_rate: Fraction, start: Fraction = Fraction(0)) -> tuple[int, int]:
        """The frames ``[first, stop)`` whose middle lies in the item, ends included.

        The middle of frame t is at ``start + (t + 1/2) / frame_rate`` s; a ``first`` below 0 lies before the clip.
        """
        half = Fraction(1, 2)
        first = math.ceil((self.onset - start) * frame_rate - half)
        return first, math.floor((self.offset - start) * frame_rate - half) + 1


def read_items(path: str | os.PathLike[str]) -> list[AbxItem]:
    """Read an item file.

    Raises:
        FormatError: another header, a line of other columns, times that are none, or no items.
    """
    with open(path, encoding="utf-8") as file:
        header = tuple(file.readline().split())
        if header != _HEADER:
            raise FormatError(f"{path} is no item file: its first line must be {' '.join(_HEADER)!r}", path=path)
        found = []
        for number, line in enumerate(file, start=2):
            if not line.strip():
                continue
            parts = line.split()
            try:
                name, onset, offset, phone, before, after, speaker = parts
                # The decimal as written: in binary, an end on the middle of a frame would fall to either side.
                item = AbxItem(name, Fraction(onset), Fraction(offset), phone, before, after, speaker)
            except (ValueError, ZeroDivisionError):
                raise FormatError(f"line {number} of {path} must be {' '.join(_HEADER)}", path=path) from None
            if not 0 <= item.onset < item.offset:
                raise FormatError(f"line {number} of {path}: onset must be before offset", path=path)
            found.append(item)
    if not found:
        raise FormatError(f"{path} has no items", path=path)
    return found


def write_items(path: str | os.PathLike[str], items: Sequence[AbxItem]) -> None:
    """Write an item file, whole or not at all; times to a tenth of a millisecond."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(" ".join(_HEADER) + "\n")
        for i in items:
            times = f"{float(i.onset):.4f} {float(i.offset):.4f}"
            file.write(f"{i.file} {times} {i.phone} {i.before} {i.after} {i.speaker}\n")


def items_from_segments(
    clips: Mapping[str, Sequence[Segment]], speakers: Mapping[str, str], *, triphone: bool = True
) -> list[AbxItem]:
    """Items of every phone that stands between two phones, none of the three being silence.

    Args:
        clips: labels of each clip, in time.
        speakers: of each clip; a clip without one is its own speaker.
        triphone: an item spans the three phones, as libri-light's do; else the middle one only.

    Raises:
        FormatError: a name with white space, which an item file cannot hold.
    """
    found = []
    for name, segments in clips.items():
        speaker = speakers.get(name, name)
        if any(c.isspace() for c in name + speaker):
            raise FormatError(f"{name!r} of speaker {speaker!r} has white space, which item files cannot hold: rename")
        for before, middle, after in zip(segments, segments[1:], segments[2:], strict=False):
            touching = math.isclose(before.offset, middle.onset, abs_tol=1e-3) and math.isclose(
                middle.offset, after.onset, abs_tol=1e-3
            )
            if SILENCE in (before.label, middle.label, after.label) or not touching:
                continue
            first, last = (before, after) if triphone else (middle, middle)
            times = Fraction(f"{first.onset:.4f}"), Fraction(f"{last.offset:.4f}")
            found.append(AbxItem(name, *times, middle.label, before.label, after.label, speaker))
    return found

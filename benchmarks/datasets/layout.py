"""What the readers of layouts share: folders that must be there, tidy text, splits kept apart."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from codectok.errors import CodectokError

from ..contract import Clip


def inside(root: Path, *names: str) -> Path:
    """``root``, or the first of ``names`` in it: archives unpack into a folder of their own, or not."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def need(path: Path, what: str) -> Path:
    """The path.

    Raises:
        CodectokError: nothing is there.
    """
    if not path.exists():
        raise CodectokError(f"{path} is missing: give the folder of {what}")
    return path


def lines(path: Path, what: str) -> list[str]:
    """Lines of a text file that hold anything.

    Raises:
        CodectokError: it is not there.
    """
    return [line for line in need(path, what).read_text(encoding="utf-8").splitlines() if line.strip()]


def words(text: str) -> str:
    """Lower-case words of any script: letters, their marks, digits, apostrophes within; all else parts words."""
    kept = (c if unicodedata.category(c)[0] in "LMN" or c == "'" else " " for c in text.lower().replace("\u2019", "'"))
    return re.sub(r"(?<!\S)'+|'+(?!\S)", "", " ".join("".join(kept).split())).strip()


def share(key: str) -> float:
    """A number in [0, 1) that ``key`` settles, for splits that a data set does not come with."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32


def apart(
    keep: Iterable[Clip], clips: Sequence[Clip], key: Callable[[Clip], str], what: str
) -> tuple[tuple[Clip, ...], str]:
    """Clips whose ``key`` is that of none in ``keep``, and words for the note on what was left out ("" if nothing)."""
    taken = {key(clip) for clip in keep}
    kept = tuple(clip for clip in clips if key(clip) not in taken)
    lost = {key(clip) for clip in clips} & taken
    return kept, f"{len(clips) - len(kept)} clips of {len(lost)} {what} left out" if lost else ""


def notes(*parts: str) -> str:
    """The parts that say something, joined."""
    return "; ".join(part for part in parts if part)

"""Clips to listen to, inside the page, within a size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codectok.inspect.pictures import audio_uri, data_uri

from .book import Book, labels
from .systems import CEILING

LIMIT = 3_000_000
"""Bytes of all sound in the page, as base64."""
SECONDS = 6.0
"""Longer clips are cut."""


@dataclass(frozen=True)
class Renditions:
    """One clip of one task by several systems: their labels and ``data:`` URIs."""

    task: str
    dataset: str
    probe: str
    clip: str
    versions: tuple[tuple[str, str], ...]


def choose(book: Book) -> tuple[list[Renditions], int]:
    """Clips by all systems that made them, or not at all; one of each task, then the second of each, while they fit.

    Returns:
        The clips, by task; and how many did not fit.
    """
    clips: list[tuple[int, int, Renditions | None]] = []
    found: list[tuple[int, int, tuple[str, str, str], str, Sequence[tuple[str, Path]]]] = []
    for place, key in enumerate(book.keys):
        groups = labels(book.of(key))
        # What all others are to sound like comes first.
        first = sorted(groups.items(), key=lambda item: (item[1].system.group != CEILING, item[0] != "original"))
        audio = {label: g.done[0].get("audio", {}) for label, g in first if g.done}
        for turn, clip in enumerate(dict.fromkeys(c for names in audio.values() for c in names)):
            paths = [(label, book.folder / names[clip]) for label, names in audio.items() if clip in names]
            found.append((turn, place, key, clip, [(label, p) for label, p in paths if p.is_file()]))
    size = left_out = 0
    for turn, place, key, clip, files in sorted(found, key=lambda f: f[:2]):
        versions = tuple((label, _uri(path)) for label, path in files)
        more = sum(len(uri) for _, uri in versions)
        if size + more > LIMIT or not versions:
            left_out += 1
            continue
        size += more
        clips.append((place, turn, Renditions(*key, clip, versions)))
    return [heard for _, _, heard in sorted(clips, key=lambda c: c[:2]) if heard], left_out


def _uri(path: Path) -> str:
    import soundfile

    info = soundfile.info(str(path))
    if info.duration <= SECONDS and info.format == "FLAC":
        return data_uri("audio/flac", path.read_bytes())
    samples, rate = soundfile.read(str(path), frames=int(SECONDS * info.samplerate), dtype="float32")
    return audio_uri(samples, rate)

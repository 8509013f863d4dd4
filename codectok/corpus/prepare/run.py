"""From a corpus on disk to its manifests: what is missing is counted and listed, never silent."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np

from codectok import registry
from codectok.audio.path import printable
from codectok.audio.reader import AudioReader
from codectok.corpus.prepare.listing import Listed, Lister, layout_error
from codectok.errors import AudioError, CodectokError
from codectok.files.atomic import atomic_path
from codectok.files.inside import safe_name
from codectok.files.suffixes import AUDIO_SUFFIXES
from codectok.items.hashes import short_hash
from codectok.items.item import Item
from codectok.items.readers.folder import walk
from codectok.items.written import audio_path, json_line

EXACT = (".flac", ".wav")
"""Files whose header states their length exactly; of others the manifest gives none."""
MISSING = "missing.jsonl"
CORPORA: registry.Table[Lister] = registry.Table("corpora")


@dataclass
class SplitTotals:
    """What one manifest has: clips, seconds of audio (of those whose length is known) and speakers."""

    clips: int = 0
    seconds: float = 0.0
    no_text: int = 0
    no_audio: int = 0
    speakers: set[str] = field(default_factory=set)


@dataclass
class Prepared:
    """The manifests that were written.

    Attributes:
        splits: by name.
        unlisted: audio files that the corpus's own lists do not name.
        problems: lines of ``missing.jsonl``.
    """

    splits: dict[str, SplitTotals] = field(default_factory=dict)
    unlisted: int = 0
    problems: int = 0

    @property
    def no_audio(self) -> int:
        """Clips that are in no manifest, their audio being missing or unreadable."""
        return sum(s.no_audio for s in self.splits.values())


def prepare(
    name: str,
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    progress: Callable[[int], None] | None = None,
) -> Prepared:
    """Write ``OUT/SPLIT.jsonl`` for each split of a corpus, and what is missing to ``OUT/missing.jsonl``.

    A line has id, path, duration, speaker, text, language and split, as far as the corpus has them. A clip without
    audio is in no manifest; one without a transcript is, without ``text``.

    Args:
        name: of the corpus, of the kind ``corpora``.
        folder: of the corpus.
        out: folder of the manifests.
        progress: told the number of clips so far.

    Raises:
        UnknownNameError: no such corpus.
        CodectokError: no such folder, or no clips in it.
        FormatError: a folder that is laid out otherwise.
    """
    root, target, result = Path(folder).absolute(), Path(out).absolute(), Prepared()
    read = CORPORA[name] if name in CORPORA else lister_of(name)
    if not root.is_dir():
        raise CodectokError(f"there is no folder {root}: give the folder of the corpus")
    seen = array("Q")
    with ExitStack() as stack:
        writers: dict[str, TextIO] = {}
        problems = _open(stack, target / MISSING)

        def problem(kind: str, path: str, **more: str) -> None:
            result.problems += 1
            problems.write(json_line({"kind": kind, **more, "path": path}))

        for number, found in enumerate(read(root), start=1):
            name, item = found.split, found.item
            split = result.splits.setdefault(name, SplitTotals())
            if name not in writers:
                for part in name.split("/"):  # a corpus's own list says what its splits are called
                    safe_name(part, root)
                writers[name] = _open(stack, target / f"{name}.jsonl")
            seen.append(short_hash(printable(item.path)))
            try:
                seconds = _seconds(item)
            except AudioError as error:
                split.no_audio += 1
                problem("audio", item.path, split=name, id=item.id, message=str(error))
                continue
            if "text" not in item.labels:
                split.no_text += 1
                problem("text", item.path, split=name, id=item.id)
            writers[name].write(json_line(_line(found, seconds, (target / f"{name}.jsonl").parent)))
            _count(split, item, seconds)
            if progress is not None:
                progress(number)
        if not any(s.clips for s in result.splits.values()):
            raise layout_error(root, read)
        for path in _unlisted(root, seen):
            result.unlisted += 1
            problem("unlisted", path)
    return result


def lister_of(name: str) -> Lister:
    """The function that lists a corpus: LibriSpeech, libri-speech and libri_speech are the same.

    Raises:
        UnknownNameError: no such corpus.
    """
    return CORPORA[name.lower().replace("-", "").replace("_", "").replace(" ", "")]


def _open(stack: ExitStack, path: Path) -> TextIO:
    return stack.enter_context(open(stack.enter_context(atomic_path(path)), "w", encoding="utf-8"))


def _seconds(item: Item) -> float | None:
    path = Path(item.path)
    if path.suffix.lower() in EXACT and item.duration is None:
        with AudioReader(path) as reader:
            return reader.num_samples / reader.rate
    if not path.is_file():
        raise AudioError(f"{printable(item.path)} does not exist", path=item.path)
    if path.stat().st_size == 0:
        raise AudioError(f"{printable(item.path)} is an empty file", path=item.path)
    return item.duration


def _line(found: Listed, seconds: float | None, folder: Path) -> dict[str, object]:
    item = found.item
    place = {"path": audio_path(item.path, str(folder)), "offset": item.offset, "duration": seconds}
    fields = {"id": item.id, **place, **item.labels, "split": found.split}
    return {key: value for key, value in fields.items() if value is not None}


def _count(split: SplitTotals, item: Item, seconds: float | None) -> None:
    split.clips += 1
    split.seconds += seconds or 0.0
    if "speaker" in item.labels:
        split.speakers.add(str(item.labels["speaker"]))


def _unlisted(root: Path, seen: array[int]) -> list[str]:
    """Audio files on disk that no clip named: forgotten by the corpus's lists, or not part of it."""
    known = np.unique(np.frombuffer(seen, np.uint64)) if seen else np.zeros(0, np.uint64)
    found = []
    for relative in walk(str(root), AUDIO_SUFFIXES):
        path = os.path.join(root, relative)
        at = int(np.searchsorted(known, key := np.uint64(short_hash(printable(path)))))
        if at == len(known) or known[at] != key:
            found.append(path)
    return found

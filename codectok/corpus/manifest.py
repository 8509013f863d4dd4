"""What a corpus is: items (an id and where its audio lies), read lazily from a folder or any of the usual manifests."""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codectok.errors import CodectokError, FormatError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
"""What a folder is searched for, in any case."""


@dataclass(frozen=True, slots=True)
class Item:
    """One utterance of a corpus.

    Attributes:
        id: unique in the corpus, one line of text.
        path: of the audio file, or of the tar, parquet or arrow file that holds it.
        offset: start of the utterance in the file, in seconds; None is the file's start.
        duration: length in seconds; None is up to the file's end.
        member: which audio inside ``path``, as :mod:`codectok.corpus.sources` spells it; None is the file itself.
    """

    id: str
    path: str
    offset: float | None = None
    duration: float | None = None
    member: str | None = None

    @property
    def whole(self) -> bool:
        """Whether the item is a whole file (or tar member, or row), not a segment of one."""
        return self.offset is None and self.duration is None


@dataclass(frozen=True)
class Scan:
    """What one pass over a corpus found: the number of items and the sha256 of the items as read."""

    num_items: int
    sha256: str


class ItemHash:
    """sha256 over items in their order. Paths under the corpus's root count relative to it: a moved corpus is equal."""

    def __init__(self, root: str) -> None:
        self._prefix = root.rstrip(os.sep) + os.sep
        self._hash = hashlib.sha256()

    def add(self, item: Item) -> None:
        """Take in one more item."""
        path = item.path.removeprefix(self._prefix)
        fields = [item.id, Path(path).as_posix(), item.offset, item.duration]
        line = json.dumps(fields if item.member is None else [*fields, item.member])
        self._hash.update(line.encode() + b"\n")

    def hexdigest(self) -> str:
        """Of the items so far."""
        return self._hash.hexdigest()


class Corpus:
    """Items in manifest order, read again from disk by each iteration; nothing is held in memory."""

    def __init__(self, source: Path, root: str) -> None:
        self.source = source
        """The folder or manifest file."""
        self.root = root
        """The folder that relative paths are relative to."""

    def __iter__(self) -> Iterator[Item]:
        """Yield the items.

        Raises:
            FormatError: a line that is not an item, with its number.
        """
        from codectok.corpus.readers import reader_for

        return reader_for(self.source)(self.source, self.root)

    def scan(self) -> Scan:
        """Read all items once: count them, hash them, and make sure that no id comes twice.

        Raises:
            FormatError: a line that is not an item, an id that comes twice.
            CodectokError: no items at all.
        """
        digest, ids = ItemHash(self.root), array("Q")
        for item in self:
            digest.add(item)
            ids.append(short_hash(item.id))
        if not ids:
            raise CodectokError(nothing_in(self.source))
        self._refuse_duplicates(ids)
        return Scan(len(ids), digest.hexdigest())

    def _refuse_duplicates(self, hashes: array[int]) -> None:
        # 8 bytes an id instead of the ids themselves: manifests have millions of lines. Only ids whose hash comes
        # twice are compared as text, in a second pass.
        import numpy as np

        ordered = np.sort(np.frombuffer(hashes, dtype=np.uint64))
        suspects = {int(h) for h in ordered[1:][ordered[1:] == ordered[:-1]]}
        if not suspects:
            return
        seen: dict[str, str] = {}
        for item in self:
            if short_hash(item.id) not in suspects:
                continue
            if item.id in seen:
                raise FormatError(
                    f"the id {item.id!r} comes twice in {self.source} ({seen[item.id]} and {item.path}): ids must be "
                    "unique; rename one, or give ids of your own (JSONL manifest, column id)"
                )
            seen[item.id] = item.path


def read_corpus(path: str | os.PathLike[str]) -> Corpus:
    """Open a corpus: nothing but its kind is looked at until it is iterated.

    Args:
        path: a folder (of audio files, tar shards, parquet or arrow files, or a Kaldi data folder), one such file, a
            pattern of tar files, or a manifest: a list of paths (.txt), fairseq .tsv, a table with a header (.csv,
            .tsv), .jsonl (also lhotse's), or Kaldi wav.scp with ``segments`` beside it. Relative paths in a manifest
            are relative to its folder (fairseq: to its root line).

    Raises:
        CodectokError: there is no such folder or file.
        FormatError: a file that is none of these manifests, or a root line that is no folder.
    """
    from codectok.corpus.readers import reader_for, root_of
    from codectok.corpus.readers.webdataset import is_pattern

    source = Path(path)
    if not source.exists() and not is_pattern(str(source)):
        raise CodectokError(f"there is no corpus {source}: give a folder of audio files or a manifest file")
    if source.exists() and not (source.is_dir() or source.is_file()):
        raise FormatError(f"{source} is a pipe or device, and a corpus is read more than once: write it to a file")
    reader_for(source)
    return Corpus(source, root_of(source))


def short_hash(text: str) -> int:
    """64 bits of a hash of ``text``, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def nothing_in(source: Path) -> str:
    """What to say of a corpus without items."""
    if source.is_dir():
        return f"no audio files ({' '.join(AUDIO_SUFFIXES)}) under {source}: give the folder that holds them"
    return f"{source} lists no items: give a manifest with at least one"

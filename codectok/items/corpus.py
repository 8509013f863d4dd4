"""A corpus: items, read lazily from a folder or any of the usual manifests."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from codectok.audio.ffmpeg import need_ffmpeg
from codectok.errors import CodectokError, FormatError
from codectok.files.suffixes import AUDIO_SUFFIXES, UNREAD_SUFFIXES
from codectok.items.hashes import ItemHash, repeated, short_hash
from codectok.items.item import Item
from codectok.items.labels import LabelHash, LabelTypes
from codectok.items.readers import reader_for, root_of
from codectok.items.readers.webdataset import is_pattern


@dataclass(frozen=True)
class Scan:
    """What one pass over a corpus found.

    Attributes:
        num_items: how many items.
        sha256: of the items as read, without their labels.
        labels: names and types of the labels, see :class:`codectok.items.labels.LabelTypes`.
        labels_sha256: of ids and labels.

    Examples:
        >>> from codectok.items.corpus import read_corpus
        >>> read_corpus("corpus").scan().num_items
        3
    """

    num_items: int
    sha256: str
    labels: Mapping[str, str]
    labels_sha256: str


class Corpus:
    """Items in manifest order, read again from disk by each iteration; nothing is held in memory.

    Examples:
        >>> from codectok.items.corpus import read_corpus
        >>> [item.id for item in read_corpus("corpus")]
        ['a', 'b', 'broken']
    """

    def __init__(self, source: Path, root: str, ffmpeg: bool = False) -> None:
        self.source = source
        """The folder or manifest file."""
        self.root = root
        """The folder that relative paths are relative to."""
        self.ffmpeg = ffmpeg
        """Whether ffmpeg decodes what libsndfile does not read."""

    def __iter__(self) -> Iterator[Item]:
        """Yield the items.

        Raises:
            FormatError: a line that is not an item, with its number.
        """
        items = reader_for(self.source)(self.source, self.root)
        return map(_by_ffmpeg, items) if self.ffmpeg else items

    def scan(self) -> Scan:
        """Read all items once: count them, hash them, and make sure that no id comes twice.

        Raises:
            FormatError: a line that is not an item, an id that comes twice.
            CodectokError: no items at all.
        """
        digest, ids = ItemHash(self.root), array("Q")
        types, labels = LabelTypes(), LabelHash()
        for item in self:
            digest.add(item)
            types.add(item.labels)
            labels.add(item.id, item.labels)
            ids.append(short_hash(item.id))
        if not ids:
            raise CodectokError(nothing_in(self.source))
        self._refuse_duplicates(ids)
        return Scan(len(ids), digest.hexdigest(), types.types(), labels.hexdigest())

    def _refuse_duplicates(self, hashes: array[int]) -> None:
        suspects = repeated(hashes)
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


def read_corpus(path: str | os.PathLike[str], ffmpeg: bool = False) -> Corpus:
    """Open a corpus: nothing but its kind is looked at until it is iterated.

    Args:
        path: a folder (of audio files, tar shards, parquet or arrow files, or a Kaldi data folder), one such file, a
            pattern of tar files, or a manifest: a list of paths (.txt), fairseq .tsv, a table with a header (.csv,
            .tsv), .jsonl (also lhotse's), or Kaldi wav.scp with ``segments`` beside it. Relative paths in a manifest
            are relative to its folder (fairseq: to its root line).
        ffmpeg: have ffmpeg decode files that libsndfile does not read, by their suffix (.m4a, .aac, .webm, ...).

    Raises:
        CodectokError: there is no such folder or file.
        FormatError: a file that is none of these manifests, or a root line that is no folder.

    Examples:
        >>> from codectok.items.corpus import read_corpus
        >>> [(item.id, item.labels) for item in read_corpus("manifest.csv")]
        [('a', {'text': 'hello'})]
    """
    source = Path(path)
    if not source.exists() and not is_pattern(str(source)):
        raise CodectokError(f"there is no corpus {source}: give a folder of audio files or a manifest file")
    if source.exists() and not (source.is_dir() or source.is_file()):
        raise FormatError(
            f"{source} is a pipe or device, and a corpus is read more than once: write it to a file", path=source
        )
    reader_for(source)
    if ffmpeg:
        need_ffmpeg()
    return Corpus(source, root_of(source), ffmpeg)


def _by_ffmpeg(item: Item) -> Item:
    unread = item.member is None and item.path.lower().endswith(UNREAD_SUFFIXES)
    return replace(item, member="ffmpeg:") if unread else item


def nothing_in(source: Path) -> str:
    """What to say of a corpus without items.

    Examples:
        >>> from codectok.items.corpus import nothing_in
        >>> nothing_in(Path("manifest.csv"))
        'manifest.csv lists no items: give a manifest with at least one'
    """
    if source.is_dir():
        return f"no audio files ({' '.join(AUDIO_SUFFIXES)}) under {source}: give the folder that holds them"
    return f"{source} lists no items: give a manifest with at least one"

"""Which clips are encoded and which of them are held out, and reading them a little ahead of the encoder."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from codectok.errors import CodectokError
from codectok.items.clips import read_clip
from codectok.items.item import Item
from codectok.processes import map_in_threads
from kmeans_units.sample_options import SampleOptions

BATCH_SECONDS = 60.0
BATCH_CLIPS = 32
AHEAD = 4
"""Clips decoded while the encoder runs."""


@dataclass(frozen=True)
class ReadClip:
    """An item of the corpus, read: its samples, or what is wrong with it."""

    index: int
    item: Item
    samples: np.ndarray | None
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class Picks:
    """The draw of clips, by a hash of seed and id: the order of the manifest doesn't matter.

    Attributes:
        total: clips that are encoded.
        seed: of the hashes.
        encode_to: hash up to which a clip is encoded.
        hold_to: hash up to which an encoded clip is held out; -1 for none.
    """

    total: int
    seed: int
    encode_to: int
    hold_to: int

    @classmethod
    def draw(cls, ids: Iterable[str], num_items: int, options: SampleOptions) -> Picks:
        """Of ``num_items`` ids; of two clips or more at least one is held out, if any share of them is to be."""
        total = min(options.clips or num_items, num_items)
        held = max(1, round(options.valid_share * total)) if options.valid_share and total > 1 else 0
        encode, hold = array("Q"), array("Q")
        for id in ids:
            encode.append(_hash(options.seed, "encode", id))
            hold.append(_hash(options.seed, "hold", id))
        encodes, holds = np.frombuffer(encode, np.uint64), np.frombuffer(hold, np.uint64)
        encode_to = int(np.partition(encodes, total - 1)[total - 1])
        among = holds[encodes <= encode_to]
        return cls(total, options.seed, encode_to, int(np.partition(among, held - 1)[held - 1]) if held else -1)

    def encoded(self, id: str) -> bool:
        """Whether a clip is encoded at all."""
        return _hash(self.seed, "encode", id) <= self.encode_to

    def held_out(self, id: str) -> bool:
        """Whether an encoded clip is held out of the fit."""
        return _hash(self.seed, "hold", id) <= self.hold_to


def read_ahead(items: Iterable[tuple[int, Item]], picks: Picks, rate: int) -> Iterator[ReadClip]:
    """The clips that are encoded, in order, at ``rate`` Hz; a few are decoded in a thread beside the caller."""
    chosen = ((index, item) for index, item in items if picks.encoded(item.id))
    return map_in_threads(lambda numbered: _read(*numbered, rate), chosen, ahead=AHEAD)


def batches(clips: Iterable[ReadClip]) -> Iterator[list[ReadClip]]:
    """Neighbours, as many as have ``BATCH_SECONDS`` together.

    A batch ends as soon as it is full, never because of the clip after it: a run that goes on behind any batch forms
    the same ones.
    """
    batch: list[ReadClip] = []
    for clip in clips:
        batch.append(clip)
        if len(batch) == BATCH_CLIPS or sum(c.seconds for c in batch) >= BATCH_SECONDS:
            yield batch
            batch = []
    if batch:
        yield batch


def _read(index: int, item: Item, rate: int) -> ReadClip:
    try:
        samples = read_clip(item, rate)
    except (CodectokError, OSError) as error:
        return ReadClip(index, item, None, 0.0, " ".join(str(error).split()))
    return ReadClip(index, item, samples, len(samples) / rate)


def _hash(seed: int, use: str, id: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {use} {id}".encode(), digest_size=8).digest(), "little")

"""Hashes of items: what a store remembers of the corpus it was made from."""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from pathlib import Path

import numpy as np

from codectok.items.item import Item


class ItemHash:
    """sha256 over items in their order. Paths under the corpus's root count relative to it: a moved corpus is equal."""

    def __init__(self, root: str) -> None:
        self._prefix = root.rstrip(os.sep) + os.sep
        self._hash = hashlib.sha256()

    def add(self, item: Item) -> None:
        """Take in one more item."""
        path = item.path.removeprefix(self._prefix)
        # Readers normalise paths. pathlib would keep a trace of each part of each of millions of them in memory.
        posix = path if os.sep == "/" else Path(path).as_posix()
        fields = [item.id, posix, item.offset, item.duration]
        line = json.dumps(fields if item.member is None else [*fields, item.member])
        self._hash.update(line.encode() + b"\n")

    def hexdigest(self) -> str:
        """Of the items so far."""
        return self._hash.hexdigest()


def short_hash(text: str) -> int:
    """64 bits of a hash of ``text``, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def repeated(hashes: array[int]) -> set[int]:
    """Those of 64-bit hashes that come twice: 8 bytes an id instead of the ids, of which manifests have millions.

    Only ids of these need then be compared as text, in a second pass.
    """
    if not hashes:
        return set()
    ordered = np.sort(np.frombuffer(hashes, np.uint64))
    return {int(h) for h in ordered[1:][ordered[1:] == ordered[:-1]]}

"""Where an item's audio lies: in a file of its own, in a tar shard, or in a row of a parquet or arrow file.

``Item.member`` says where inside ``Item.path``:

- ``tar:OFFSET:SIZE:NAME``: bytes of a tar file; NAME is for messages.
- ``parquet:GROUP:ROW:COLUMN``: a row of a row group.
- ``arrow:ROW:COLUMN``: a row of an arrow file.
- ``channel:N``: one channel, from 0, of an audio file.
- ``ffmpeg:``: an audio file that ffmpeg decodes.
"""

from __future__ import annotations

import os
import re

from codectok.audio.ffmpeg import decoded
from codectok.audio.path import printable
from codectok.audio.reader import AudioReader
from codectok.errors import AudioError
from codectok.items.item import Item
from codectok.items.slices import open_slice

_MEMBER = re.compile(r"channel:\d+|ffmpeg:|tar:\d+:\d+:.*|parquet:\d+:\d+:.+|arrow:\d+:.+", re.DOTALL)


def is_member(text: str) -> bool:
    """Whether ``text`` is a way to name a member."""
    return _MEMBER.fullmatch(text) is not None


def open_item(item: Item, strict: bool = False) -> AudioReader:
    """Open the audio that an item lies in: the whole file, member or row, of which the item may be a segment.

    With ``strict``, a file that is damaged and could yet be read is refused.

    Raises:
        AudioError: missing, empty, or not audio.
    """
    if item.member is None:
        return AudioReader(item.path, strict=strict)
    if not is_member(item.member):
        raise AudioError(f"{describe(item)}: no such kind of member; make the manifest again")
    kind, _, where = item.member.partition(":")
    if kind == "channel":
        return AudioReader(item.path, channel=int(where), strict=strict)
    name = describe(item)
    if kind == "ffmpeg":
        return AudioReader(decoded(item.path, name), name, strict=strict)
    if kind == "tar":
        offset, size, _ = where.split(":", 2)
        return AudioReader(open_slice(item.path, int(offset), int(size), name), name, strict=strict)
    from codectok.items.rows import read_cell

    found = read_cell(item.path, kind, where, name)
    if isinstance(found, str):  # the row names a file
        return AudioReader(os.path.join(os.path.dirname(item.path), found), strict=strict)
    return AudioReader(found, name, strict=strict)


def stored_bytes(item: Item) -> int:
    """Bytes of the encoded audio that an item lies in; of a row, of the file of rows. 0 if there is no such file."""
    if item.member is not None and item.member.startswith("tar:"):
        return int(item.member.split(":", 3)[2])
    try:
        return os.path.getsize(item.path)
    except OSError:
        return 0


def describe(item: Item) -> str:
    """Where an item lies, for messages: one line of printable text."""
    path = printable(item.path)
    if item.member in (None, "ffmpeg:"):
        return path
    kind, _, where = item.member.partition(":")
    if kind == "tar":
        return f"{path}:{printable(where.split(':', 2)[-1])}"
    if kind == "parquet":
        group, row, *_ = where.split(":")
        return f"{path}:row {row} of row group {group}"
    return f"{path}:{kind} {where.split(':')[0]}".replace(":arrow ", ":row ")

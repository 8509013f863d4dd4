"""GigaSpeech (Chen et al., 2021): ``GigaSpeech.json`` lists long recordings and the segments in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from codectok.corpus.prepare.listing import Listed, layout_error, listed
from codectok.errors import FormatError
from codectok.items.lines import open_text

_BLOCK = 1 << 20


def clips(root: Path) -> Iterator[Listed]:
    """GigaSpeech: the folder with GigaSpeech.json and audio.

    Each segment, once in each of its subsets, which are the splits: XL holds L, L holds M, and so on.
    """
    path = root / "GigaSpeech.json"
    if not path.is_file():
        raise layout_error(root, clips)
    try:
        with open_text(path) as file:
            for audio in _objects(file, path):
                for segment in audio["segments"]:
                    yield from _segment(root / audio["path"], segment)
    except (KeyError, TypeError, ArithmeticError) as error:
        raise FormatError(f"{path} is not GigaSpeech's list ({error!r}): download it again", path=path) from error


def _segment(path: Path, segment: dict[str, Any]) -> Iterator[Listed]:
    start, end = Decimal(str(segment["begin_time"])), Decimal(str(segment["end_time"]))
    speaker = segment.get("speaker")
    for subset in segment["subsets"]:
        yield listed(
            segment["sid"],
            path,
            subset.strip("{}"),
            text=segment.get("text_tn") or None,
            speaker=None if speaker in (None, "", "N/A") else speaker,
            language="en",
            offset=float(start),
            duration=float(end - start),
        )


def _objects(file: TextIO, path: Path) -> Iterator[dict[str, Any]]:
    """The objects of the list ``audios``, one at a time: the file has gigabytes."""
    decoder, text = json.JSONDecoder(), ""
    while (at := text.find('"audios"')) < 0 or (at := text.find("[", at)) < 0:
        block = file.read(_BLOCK)
        if not block:
            raise FormatError(f"{path} has no list of audios: download it again", path=path)
        text += block
    text = text[at + 1 :]
    while True:
        text = text.lstrip(" \r\n\t,")
        if text.startswith("]"):
            return
        try:
            value, end = decoder.raw_decode(text)
        except json.JSONDecodeError:
            # Most likely cut by the block's end. Doubling keeps a large object from being parsed over and over.
            block = file.read(max(_BLOCK, len(text)))
            if not block:
                raise FormatError(f"{path} is cut off: download it again", path=path) from None
            text += block
            continue
        text = text[end:]
        yield value

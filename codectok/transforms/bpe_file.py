"""``bpe.json``: of a model folder, of a store, or a file of any name that ends in ``.json``.

::

    {"format": "unit-bpe", "format_version": 1,
     "tokenizer": "0f3a...",              fingerprint of the tokenizer whose codes are merged
     "codebook_sizes": [500],             symbols are their codes, each codebook's after those before it
     "num_symbols": 500,                  n, the sum
     "pattern": "single",                 order of the symbols of several codebooks
     "dedup": true,                       runs of equal frames are merged first
     "vocab_size": 6000,                  n and the number of merges; any smaller vocabulary is a prefix
     "mean_durations": [1.5, ...],        frames of a run of each symbol, where they were seen; no part of the code
     "trained_on": {...},                 for the record
     "merges": [[17, 296], [500, 20], ...]}    pairs of ids; the merge at place r makes the id n + r
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.files.atomic import atomic_path

NAME = "bpe.json"
FORMAT = "unit-bpe"
FORMAT_VERSION = 1


def bpe_path(place: str | os.PathLike[str]) -> Path:
    """The file that a place names: itself, where it is a file or ends in .json, or ``bpe.json`` of a folder."""
    path = Path(place)
    return path if path.is_file() or (path.suffix == ".json" and not path.is_dir()) else path / NAME


def write_entry(place: str | os.PathLike[str], entry: dict[str, Any], merges: list[list[int]]) -> None:
    """Write the file, whole or not at all: the merges, and all that stands before them."""
    whole = {"format": FORMAT, "format_version": FORMAT_VERSION, **entry}
    lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)},\n" for key, value in whole.items()]
    pairs = json.dumps(merges, separators=(",", ":"))
    with atomic_path(bpe_path(place)) as temporary:
        temporary.write_text("{\n" + "".join(lines) + f'  "merges": {pairs}\n}}\n', encoding="utf-8")


def read_entry(place: str | os.PathLike[str]) -> dict[str, Any]:
    """What the file says.

    Raises:
        FormatError: none there, no JSON, or of another version.
    """
    path = bpe_path(place)
    if not path.is_file():
        missing = f"there is no {path}" if path == Path(place) else f"{place} has no {NAME}"
        raise FormatError(f"{missing}: train one with `codectok units bpe`", path=place)
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not valid JSON: {error}", path=path) from None
    if not isinstance(entry, dict) or entry.get("format") != FORMAT:
        raise FormatError(f"{path} does not hold a BPE over units", path=path)
    if entry.get("format_version") != FORMAT_VERSION:
        version = entry.get("format_version")
        raise FormatError(f"{path} has format_version {version}: this codectok reads {FORMAT_VERSION}", path=path)
    return entry

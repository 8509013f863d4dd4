"""``bpe.json`` of a model folder.

::

    {"format": "unit-bpe", "format_version": 1,
     "tokenizer": "0f3a...",              fingerprint of the tokenizer whose codes are merged
     "codebook_sizes": [500],             symbols are their codes, each codebook's after those before it
     "num_symbols": 500,                  n, the sum
     "pattern": "single",                 order of the symbols of several codebooks
     "dedup": true,                       runs of equal frames are merged first
     "vocab_size": 6000,                  n and the number of merges; any smaller vocabulary is a prefix
     "trained_on": {...},                 for the record
     "merges": [[17, 296], [500, 20], ...]}    pairs of ids; the merge at place r makes the id n + r
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from codectok.errors import CodectokError, FormatError
from codectok.files.atomic import atomic_path

if TYPE_CHECKING:
    from codectok.transforms.unit_bpe import UnitBPE

NAME = "bpe.json"
FORMAT = "unit-bpe"
FORMAT_VERSION = 1


def write_bpe(folder: str | os.PathLike[str], bpe: UnitBPE) -> None:
    """Write ``bpe.json``, whole or not at all."""
    entry = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "tokenizer": bpe.tokenizer_fingerprint,
        "codebook_sizes": list(bpe.codebook_sizes),
        "num_symbols": bpe.num_symbols,
        "pattern": bpe.pattern,
        "dedup": bpe.dedup,
        "vocab_size": bpe.vocab_size,
        "trained_on": bpe.trained_on,
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)},\n" for key, value in entry.items()]
    merges = json.dumps(bpe.merges.tolist(), separators=(",", ":"))
    with atomic_path(Path(folder) / NAME) as temporary:
        temporary.write_text("{\n" + "".join(lines) + f'  "merges": {merges}\n}}\n', encoding="utf-8")


def read_bpe(folder: str | os.PathLike[str]) -> UnitBPE:
    """Read ``bpe.json``.

    Raises:
        FormatError: none there, damaged, or of another version.
    """
    from codectok.transforms.unit_bpe import UnitBPE

    path = Path(folder) / NAME
    if not path.is_file():
        raise FormatError(f"{folder} has no {NAME}: train one with `codectok units bpe`")
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(entry, dict) or entry.get("format") != FORMAT:
        raise FormatError(f"{path} does not hold a BPE over units")
    if entry.get("format_version") != FORMAT_VERSION:
        version = entry.get("format_version")
        raise FormatError(f"{path} has format_version {version}: this codectok reads {FORMAT_VERSION}")
    try:
        bpe = UnitBPE(
            entry["codebook_sizes"],
            entry["merges"],
            pattern=entry["pattern"],
            dedup=bool(entry["dedup"]),
            tokenizer_fingerprint=str(entry["tokenizer"]),
            trained_on=entry["trained_on"],
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, CodectokError) else f"{type(error).__name__}: {error}"
        raise FormatError(f"{path} is damaged ({reason}): train it again") from None
    if (bpe.num_symbols, bpe.vocab_size) != (entry.get("num_symbols"), entry.get("vocab_size")):
        raise FormatError(f"{path} is damaged: its num_symbols and vocab_size are not those of its merges")
    return bpe

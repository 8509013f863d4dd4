"""Which clips a tokenizer was fitted on, where that is known: no probe is tested on them."""

from __future__ import annotations

import re
from pathlib import Path

from codectok.pretrained import FOLDER
from codectok.shipped import ALIASES, SHIPPED

from ..split_tables import read_splits

SHIPPED_TABLE = FOLDER / "speech" / "splits.tsv"
"""All tokenizers that ship were fitted on the clips of this one."""
FITTED_ON_NOTHING = ("pcm", "random", "logmel", "original", "opus", "codec2", "speex")


def fitted_table(source: str, folder: Path | None) -> Path | None:
    """The table of splits (columns path and use) that goes with a tokenizer, or None."""
    if folder is None:
        return None
    tables = [folder / "splits.tsv"]
    if source in SHIPPED or source in ALIASES:
        tables.append(SHIPPED_TABLE)
    return next((t for t in tables if t.is_file()), None)


def fitted_words(source: str, folder: Path | None) -> str:
    """For the row of results: "nothing", "unknown", or how many clips and speakers, and the file that lists them."""
    if source in FITTED_ON_NOTHING:
        return "nothing"
    table = fitted_table(source, folder)
    if table is None:
        return "unknown"
    rows = [r for r in read_splits(table) if r["use"] == "fit"]
    speakers = len({r.get("speaker") or "" for r in rows} - {""})
    return f"{len(rows)} clips of {speakers} speakers: use=fit in {table.parent.name}/{table.name}"


def fitted_clips(source: str, folder: Path | None) -> frozenset[str]:
    """Keys (see :func:`clip_key`) of the clips that a tokenizer was fitted on; empty where none or unknown."""
    table = fitted_table(source, folder)
    if table is None:
        return frozenset()
    return frozenset(clip_key(r["path"]) for r in read_splits(table) if r["use"] == "fit")


def clip_key(path: str) -> str:
    """Folder and stem of an audio file, "allison/0474-conf-getpin": the same for copies in another place or format."""
    return "/".join(Path(re.sub(r"\\", "/", path)).with_suffix("").parts[-2:])

"""Which kind of corpus a folder or file is: by its name, and where names are shared by its first line or file."""

from __future__ import annotations

import json
from pathlib import Path

from codectok import registry
from codectok.errors import FormatError
from codectok.files.suffixes import AUDIO_SUFFIXES
from codectok.items.lines import first_line, suffix_of
from codectok.items.readers.folder import walk

_SHARDS = {".tar": "webdataset", ".parquet": "parquet", ".arrow": "arrow"}


def kind_of(source: Path) -> str:
    """The kind, a name in the table of readers.

    Raises:
        FormatError: it is no kind of corpus.
    """
    if source.is_dir():
        return _kind_of_folder(source)
    suffix = suffix_of(source)
    if suffix in _SHARDS and not source.name.endswith(".gz"):
        return _SHARDS[suffix]
    if suffix == ".txt":
        return "webdataset" if first_line(source).strip().endswith(".tar") else "list"
    if suffix == ".tsv":  # a table's first line has columns; fairseq's is a folder
        return "table" if "\t" in first_line(source) else "fairseq"
    if suffix in (".jsonl", ".json"):
        return "lhotse" if _is_lhotse(first_line(source)) else "jsonl"
    kind = {".csv": "table", ".scp": "kaldi"}.get(suffix)
    if kind is not None:
        return kind
    if registry.known("readers", suffix[1:]) and registry.entry_of("readers", suffix[1:]).package != registry.OWN:
        return suffix[1:]
    if suffix in (".tar", ".tgz"):
        raise FormatError(
            f"{source} is compressed, so its members cannot be read in place: unpack it to a .tar", path=source
        )
    if suffix in AUDIO_SUFFIXES:
        raise FormatError(
            f"{source} is one recording: give its folder or a manifest of recordings, or use `codectok encode`",
            path=source,
        )
    raise FormatError(
        f"{source} is not a known kind of manifest: use .txt (a path a line), .tsv (fairseq), .csv, .jsonl, wav.scp, "
        ".tar or .parquet, or a folder (codectok info --list readers)",
        path=source,
    )


def _kind_of_folder(folder: Path) -> str:
    if (folder / "wav.scp").is_file():
        return "kaldi"
    if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
        return "arrow"
    if next(walk(str(folder), AUDIO_SUFFIXES), None) is not None:
        return "folder"
    found = [kind for suffix, kind in _SHARDS.items() if next(walk(str(folder), (suffix,)), None) is not None]
    if len(found) > 1:
        raise FormatError(
            f"{folder} holds shards of several kinds ({', '.join(found)}): give the folder of one of them", path=folder
        )
    return found[0] if found else "folder"


def _is_lhotse(line: str) -> bool:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(entry, dict):
        return False
    return "sources" in entry or str(entry.get("type", "")).endswith("Cut") or {"recording", "start"} <= entry.keys()

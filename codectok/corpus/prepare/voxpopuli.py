"""VoxPopuli (Wang et al., 2021): ``transcribed_data/LANGUAGE/YEAR/ID.ogg`` and ``LANGUAGE/asr_train.tsv``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.corpus.prepare.clip import Clip, folders, layout_error, rows
from codectok.corpus.prepare.registry import CORPORA

SPLITS = ("train", "dev", "test")


def clips(root: Path) -> Iterator[Clip]:
    """Each line of each table, with its normalized text; of several languages, the splits are ``LANGUAGE/train``."""
    root = root / "transcribed_data" if (root / "transcribed_data").is_dir() else root
    if _has_tables(root):
        yield from _language(root, "")
        return
    languages = [p for p in folders(root) if _has_tables(p)]
    if not languages:
        raise layout_error(root, CORPORA["voxpopuli"])
    for language in languages:
        yield from _language(language, f"{language.name}/")


def _has_tables(folder: Path) -> bool:
    return any((folder / f"asr_{split}.tsv").is_file() for split in SPLITS)


def _language(folder: Path, prefix: str) -> Iterator[Clip]:
    for split in SPLITS:
        table = folder / f"asr_{split}.tsv"
        for row in rows(table, "\t") if table.is_file() else ():
            key = row["id"]
            text = row.get("normalized_text", "").strip() or row.get("raw_text", "").strip() or None
            speaker = row.get("speaker_id", "")
            known = speaker if speaker not in ("", "None") else None
            yield Clip(key, _audio(folder, key, split), prefix + split, text, known, folder.name)


def _audio(folder: Path, key: str, split: str) -> Path:
    """The official script cuts clips to ``YEAR/ID.ogg``; the copy on the Hugging Face hub has ``SPLIT/ID.wav``."""
    official = folder / key[:4] / f"{key}.ogg"
    other = folder / split / f"{key}.wav"
    return other if other.is_file() and not official.is_file() else official

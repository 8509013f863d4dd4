"""VoxPopuli (Wang et al., 2021): ``transcribed_data/LANGUAGE/YEAR/ID.ogg`` and ``LANGUAGE/asr_train.tsv``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.corpus.prepare.listing import Listed, folders, layout_error, listed
from codectok.items.tables import table_rows

SPLITS = ("train", "dev", "test")


def clips(root: Path) -> Iterator[Listed]:
    """VoxPopuli transcribed speech: transcribed_data, or one language in it.

    Each line of each table, with its normalized text; of several languages, the splits are ``LANGUAGE/train``.
    """
    root = root / "transcribed_data" if (root / "transcribed_data").is_dir() else root
    if _has_tables(root):
        yield from _language(root, "")
        return
    languages = [p for p in folders(root) if _has_tables(p)]
    if not languages:
        raise layout_error(root, clips)
    for language in languages:
        yield from _language(language, f"{language.name}/")


def _has_tables(folder: Path) -> bool:
    return any((folder / f"asr_{split}.tsv").is_file() for split in SPLITS)


def _language(folder: Path, prefix: str) -> Iterator[Listed]:
    for split in SPLITS:
        table = folder / f"asr_{split}.tsv"
        for _, row in table_rows(table, ("id",)) if table.is_file() else ():
            key = row["id"]
            text = row.get("normalized_text", "").strip() or row.get("raw_text", "").strip() or None
            speaker = row.get("speaker_id", "")
            known = speaker if speaker not in ("", "None") else None
            yield listed(key, _audio(folder, key, split), prefix + split, text, known, folder.name)


def _audio(folder: Path, key: str, split: str) -> Path:
    """The official script cuts clips to ``YEAR/ID.ogg``; the copy on the Hugging Face hub has ``SPLIT/ID.wav``."""
    official = folder / key[:4] / f"{key}.ogg"
    other = folder / split / f"{key}.wav"
    return other if other.is_file() and not official.is_file() else official

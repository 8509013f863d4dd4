"""Common Voice (Ardila et al., 2020): ``LANGUAGE/clips/*.mp3``, ``LANGUAGE/train.tsv`` and others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.corpus.prepare.listing import Listed, folders, layout_error, listed
from codectok.errors import FormatError
from codectok.items.tables import table_rows

SPLITS = ("train", "dev", "test", "validated", "other", "invalidated")
"""``train``, ``dev`` and ``test`` are parts of ``validated``."""


def clips(root: Path) -> Iterator[Listed]:
    """Common Voice: a language's folder with clips and train.tsv, or one with several languages.

    Each line of each table; with several languages, the splits are ``LANGUAGE/train`` and so on.
    """
    if (root / "clips").is_dir():
        yield from _language(root, "")
        return
    languages = [p for p in folders(root) if (p / "clips").is_dir()]
    if not languages:
        raise layout_error(root, clips)
    for language in languages:
        yield from _language(language, f"{language.name}/")


def _language(folder: Path, prefix: str) -> Iterator[Listed]:
    for split in SPLITS:
        table = folder / f"{split}.tsv"
        if not table.is_file():
            continue
        for _, row in table_rows(table):
            path = row.get("path", "")
            if not path:
                raise FormatError(f"{table} has a row without a path: download it again", path=table)
            # The first releases leave the suffix out.
            path = path if path.lower().endswith((".mp3", ".wav")) else f"{path}.mp3"
            text = row.get("sentence", "").strip() or None
            language = row.get("locale") or folder.name
            speaker = row.get("client_id") or None
            yield listed(Path(path).stem, folder / "clips" / path, prefix + split, text, speaker, language)

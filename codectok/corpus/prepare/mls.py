"""Multilingual LibriSpeech (Pratap et al., 2020): ``mls_german/train/audio/SPEAKER/BOOK/ID.flac`` (or .opus).

``transcripts.txt`` has ``ID<TAB>text``; ``segments.txt`` says where a clip lay in its audiobook, and is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.corpus.prepare.listing import Listed, folders, layout_error, listed
from codectok.items.lines import bad_line, numbered_lines

SPLITS = ("train", "dev", "test")
LANGUAGES = {
    "english": "en", "german": "de", "dutch": "nl", "french": "fr",
    "spanish": "es", "italian": "it", "portuguese": "pt", "polish": "pl",
}  # fmt: skip


def clips(root: Path) -> Iterator[Listed]:
    """Multilingual LibriSpeech: mls_german, or a folder with several mls_*.

    Each line of each transcript; of several languages, the splits are ``mls_german/train`` and so on.
    """
    if _has_transcripts(root):
        yield from _language(root, "")
        return
    languages = [p for p in folders(root) if _has_transcripts(p)]
    if not languages:
        raise layout_error(root, clips)
    for language in languages:
        yield from _language(language, f"{language.name}/")


def _has_transcripts(folder: Path) -> bool:
    return any((folder / split / "transcripts.txt").is_file() for split in SPLITS)


def _language(folder: Path, prefix: str) -> Iterator[Listed]:
    name = folder.name.removeprefix("mls_").removesuffix("_opus")
    for split in SPLITS:
        transcripts = folder / split / "transcripts.txt"
        suffix = ""
        for number, line in numbered_lines(transcripts) if transcripts.is_file() else ():
            key, tab, text = line.partition("\t")
            speaker, _, rest = key.partition("_")
            book = rest.partition("_")[0]
            if not tab or not book:
                raise bad_line(transcripts, number, "must be SPEAKER_BOOK_NUMBER<TAB>text")
            place = folder / split / "audio" / speaker / book
            suffix = suffix or (".opus" if (place / f"{key}.opus").is_file() else ".flac")
            path = place / f"{key}{suffix}"
            yield listed(key, path, prefix + split, text.strip() or None, speaker, LANGUAGES.get(name, name))

"""Speech Commands (Warden, 2018): ``WORD/SPEAKER_nohash_N.wav``, ``validation_list.txt``, ``testing_list.txt``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from codectok.corpus.prepare.listing import Listed, files, folders, layout_error, listed
from codectok.items.lines import numbered_lines

LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


def clips(root: Path) -> Iterator[Listed]:
    """Speech Commands: the folder with a folder a word and testing_list.txt.

    Each file of each word; what is in neither list is ``train``. ``_background_noise_`` holds no words.
    """
    named = {split: _listed(root / name) for split, name in LISTS.items()}
    for name in LISTS.values():
        if not (root / name).is_file():
            raise layout_error(root, clips)
    split_of = {path: split for split, paths in named.items() for path in paths}
    words = [p for p in folders(root) if not p.name.startswith("_")]
    found = {f"{word.name}/{p.name}" for word in words for p in files(word, (".wav",))}
    for path in sorted(found | split_of.keys()):
        word, _, name = path.partition("/")
        speaker = name.split("_nohash_")[0]
        key = path.removesuffix(".wav")  # a speaker says many words: the file's name alone is not unique
        yield listed(key, root / path, split_of.get(path, "train"), word, speaker, "en")


def _listed(path: Path) -> set[str]:
    return {line.strip() for _, line in numbered_lines(path)} if path.is_file() else set()

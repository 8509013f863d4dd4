"""Common Voice (Ardila et al. 2020) in one language: recognition. ``{train,dev,test}.tsv`` and ``clips/*.mp3``."""

from __future__ import annotations

from pathlib import Path

from codectok.items.tables import table_rows

from ..contract import Clip, Dataset
from .entry import DatasetEntry
from .layout import apart, inside, need, notes, words

WHAT = "a Common Voice release (LANGUAGE/{train,dev,test}.tsv and LANGUAGE/clips)"


def open_asr(name: str, root: Path) -> Dataset:
    """The release's own splits; speakers of the test set who are in another too are left out of that, and counted."""
    language = name.split("-")[1]
    folder = inside(root, language)
    train, valid, test = (_clips(folder, split, language) for split in ("train", "dev", "test"))
    valid, lost_valid = apart(test, valid, lambda clip: clip.speaker, "test speakers")
    train, lost_train = apart((*valid, *test), train, lambda clip: clip.speaker, "test or valid speakers")
    return Dataset(
        name=name,
        task="asr",
        train=train,
        valid=valid,
        tests={"test": test},
        rules=("speaker-disjoint",),
        root=str(root),
        licence="CC0-1.0",
        note=notes(lost_train and f"train: {lost_train}", lost_valid and f"valid: {lost_valid}"),
    )


def _clips(folder: Path, split: str, language: str) -> tuple[Clip, ...]:
    path = need(folder / f"{split}.tsv", f"Common Voice, language {language}: {{train,dev,test}}.tsv and clips/")
    return tuple(
        Clip(
            id=Path(row["path"]).stem,
            path=str(folder / "clips" / row["path"]),
            speaker=row["client_id"],
            label=words(row["sentence"]),
            language=language,
        )
        for _, row in table_rows(path, ("path", "client_id", "sentence"))
        if words(row["sentence"])
    )


ASR_CY = DatasetEntry("commonvoice-cy-asr", "asr", open_asr, WHAT)
"""Read Welsh: words."""
ASR_EU = DatasetEntry("commonvoice-eu-asr", "asr", open_asr, WHAT)
"""Read Basque: words."""

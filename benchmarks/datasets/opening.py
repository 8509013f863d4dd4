"""Opening the data sets that suites can name."""

from __future__ import annotations

from pathlib import Path

from codectok import registry
from codectok.errors import CodectokError

from ..contract import Dataset
from .entry import DatasetEntry
from .splits import check_splits

DATASETS: registry.Table[DatasetEntry] = registry.Table("datasets")
"""What suites can name, each imported when it is looked up."""


def dataset_names(task: str | None = None) -> list[str]:
    """Names of the data sets, all or of one task, in the order they are listed."""
    return [name for name in DATASETS if task is None or DATASETS[name].task == task]


def open_dataset(name: str, root: str | Path | None = None) -> Dataset:
    """Read the lists of a data set and check its splits; audio is read clip by clip later.

    Args:
        name: see :data:`DATASETS`.
        root: folder of the data as unpacked; not needed for ``mini-*``.

    Raises:
        LeakageError: its splits share what they must not.
        NotComputed: clips that it cannot do without are not here.
        UnknownNameError: no such data set.
        CodectokError: no folder, or the folder has another layout.
    """
    entry = DATASETS[name]
    if not isinstance(entry, DatasetEntry):
        raise CodectokError(f"the data set {name} is a {type(entry).__name__}: its entry point must be a DatasetEntry")
    if entry.folder and root is None:
        raise CodectokError(f"{name} needs its folder: {entry.folder}")
    if root is not None and not Path(root).is_dir():
        raise CodectokError(f"{root} is not a folder: {name} needs {entry.folder or 'no folder'}")
    dataset = entry.read(name, None if root is None else Path(root))
    for split, clips in {"train": dataset.train, "valid": dataset.valid, **dataset.tests}.items():
        if not clips and not (entry.task == "resynthesis" and split in ("train", "valid")):
            raise CodectokError(f"{name} has no clips in {split}: check the folder {dataset.root}")
    check_splits(dataset)
    return dataset

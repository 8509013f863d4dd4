"""Data sets by their layout on disk, with splits that are checked when they are opened."""

from .audio import read_clip, read_targets
from .entry import DatasetEntry
from .opening import DATASETS, dataset_names, open_dataset
from .splits import check_splits

__all__ = [
    "DATASETS",
    "DatasetEntry",
    "check_splits",
    "dataset_names",
    "open_dataset",
    "read_clip",
    "read_targets",
]

"""How far a k-means is, in one file that is replaced at each round: a killed fit goes on there, to the same bits."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codectok.files.atomic import atomic_path
from codectok.log import logger

LOG = logger(__name__)


@dataclass(frozen=True)
class SavedRounds:
    """What the file holds: float32 [k, D], the rounds done (None: all), and the state of the draws after the start."""

    centroids: np.ndarray
    rounds: int | None
    draws: dict[str, Any] | None


class KMeansState:
    """The file of one codebook's k-means; its name must say all that decides the result.

    Args:
        file: None: nothing is kept.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file

    def read(self, k: int, dim: int) -> SavedRounds | None:
        """What was saved, if it is there and is of ``k`` centroids of ``dim`` values."""
        if self.file is None or not self.file.is_file():
            return None
        try:
            with np.load(self.file) as arrays:
                facts, centroids = json.loads(arrays["facts"].tobytes()), arrays["centroids"]
            saved = SavedRounds(centroids, facts["rounds"], facts["draws"])
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            LOG.warning("%s cannot be read (%s): k-means begins again", self.file, error)
            return None
        return saved if centroids.shape == (k, dim) and centroids.dtype == np.float32 else None

    def save(self, centroids: np.ndarray, rounds: int | None, draws: dict[str, Any] | None = None) -> None:
        """Replace the file, whole."""
        if self.file is None:
            return
        facts = np.frombuffer(json.dumps({"rounds": rounds, "draws": draws}).encode(), np.uint8)
        with atomic_path(self.file) as temporary, open(temporary, "wb") as file:
            np.savez(file, facts=facts, centroids=centroids)


def level_state(cache: Path | None, key: str, layer: int, level: int) -> KMeansState:
    """Of one level of one layer of the fit that ``key`` stands for."""
    return KMeansState(None if cache is None else cache / f"kmeans-{key}-{layer}-{level}.npz")


def forget(cache: Path | None, key: str) -> None:
    """Remove the files of a fit that is written."""
    for file in () if cache is None else cache.glob(f"kmeans-{key}-*.npz"):
        file.unlink(missing_ok=True)

"""The state of a pass over a corpus: the reservoirs, what was counted, and the one file that keeps them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from codectok.files.atomic import atomic_path
from codectok.log import logger
from kmeans_units.clips import ReadClip
from kmeans_units.reservoir import Reservoir

LOG = logger(__name__)

VALID_FRAMES = 32768
"""Most held-out frames: enough for 0.1 % accuracy of the inertia."""
LISTED = 20
"""Failed clips that are named; all are counted."""


@dataclass
class Counts:
    """What went in; ``frames`` and ``clips`` are all, those held out included."""

    clips: int = 0
    valid_clips: int = 0
    seconds: float = 0.0
    frames: int = 0
    valid_frames: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)


class SampleRun:
    """Two reservoirs, for fitting and held out, and how far the pass is.

    Args:
        dims: width D of each layer.
        bound: most frames to fit on.
        share: chance of a frame to be drawn.
        seed: of the draw.
        key: what the sample depends on, JSON-able: another key, another sample.
        file: where the state is kept; None: nowhere.
    """

    def __init__(
        self, dims: Sequence[int], bound: int, share: float, seed: int, key: Mapping[str, Any], file: Path | None
    ) -> None:
        self.fit = Reservoir(dims, bound, share)
        self.valid = Reservoir(dims, min(VALID_FRAMES, bound))
        self.seed, self.key, self.file = seed, json.loads(json.dumps(key)), file
        self._ends = np.cumsum(dims)[:-1]
        self.clear()

    def clear(self) -> None:
        """Start anew."""
        self.fit.clear()
        self.valid.clear()
        self.counts = Counts()
        self.next, self.shards, self.done = 0, -1, False

    @property
    def counted(self) -> int:
        """Clips behind us."""
        return self.counts.clips + self.counts.failed

    def split(self, features: np.ndarray) -> list[np.ndarray]:
        """[T, D of all layers] -> [T, D] of each."""
        return np.split(features, self._ends, axis=1)

    def take(self, clip: ReadClip, features: np.ndarray, held_out: bool) -> None:
        """Offer a clip's frames [T, D of all layers]."""
        keys = np.random.default_rng([self.seed, clip.index]).random(len(features))
        (self.valid if held_out else self.fit).add(keys, self.split(features))
        self.counts.clips += 1
        self.counts.valid_clips += held_out
        self.counts.seconds += clip.seconds
        self.counts.frames += len(features)
        self.counts.valid_frames += held_out * len(features)

    def fail(self, clip: ReadClip, reason: str) -> None:
        """Note a clip that cannot be used."""
        self.counts.failed += 1
        if len(self.counts.failures) < LISTED:
            self.counts.failures.append(f"{clip.item.id}: {reason}")

    def save(self) -> None:
        """Replace the file by the state as it is."""
        if self.file is None:
            return
        state = {"key": self.key, "next": self.next, "shards": self.shards, "done": self.done}
        text = json.dumps(state | {"counts": asdict(self.counts)}).encode()
        arrays = {"state": np.frombuffer(text, np.uint8), **self.fit.arrays("fit"), **self.valid.arrays("valid")}
        with atomic_path(self.file) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def resume(self) -> None:
        """Go on where the file says, if there is one, for this key, that can be read; else nothing happens."""
        if self.file is None or not self.file.is_file():
            return
        try:
            with np.load(self.file) as arrays:
                state = json.loads(arrays["state"].tobytes())
            if state["key"] != self.key:
                return
            with zipfile.ZipFile(self.file) as archive:
                self.fit.read(archive, "fit")
                self.valid.read(archive, "valid")
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            LOG.warning("%s cannot be read (%s): frames are sampled anew", self.file, error)
            self.clear()
            return
        LOG.info("going on with the frames that %s has", self.file)
        self.next, self.shards, self.done = state["next"], state["shards"], state["done"]
        self.counts = Counts(**state["counts"])

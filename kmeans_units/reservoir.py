"""A uniform sample of a stream of frames, in bounded memory, that can be put aside and taken up again."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence

import numpy as np

READ_BYTES = 1 << 24


class Reservoir:
    """The frames with the smallest random keys of all that were offered, at most ``size`` of them.

    Keys are given with the frames, as a pure function of where they come from: what is kept doesn't depend on how the
    stream is cut, and every frame has the same chance. Frames of several layers keep the same rows.

    Up to ``size + slack`` rows are held; whenever they are full, the rows with the largest keys go.

    Args:
        dims: width D of each layer.
        size: most frames kept.
        below: frames whose key is not below it are never kept: with keys uniform in [0, 1), their share.
    """

    def __init__(self, dims: Sequence[int], size: int, below: float = math.inf) -> None:
        self.size = size
        self.below = self._share = below
        self.capacity = size + max(1, size // 16)
        self.rows = 0
        """Held now."""
        self._keys = np.empty(self.capacity)
        # Memory is taken by the pages that are written, not by the reservation.
        self._layers = [np.empty((self.capacity, dim), np.float32) for dim in dims]

    def add(self, keys: np.ndarray, layers: Sequence[np.ndarray]) -> None:
        """Offer T frames.

        Args:
            keys: float64 [T].
            layers: [T, D] of each layer.
        """
        rows = np.flatnonzero(keys < self.below)
        while len(rows):
            room = self.capacity - self.rows
            now, rows = rows[:room], rows[room:]
            to = slice(self.rows, self.rows + len(now))
            self._keys[to] = keys[now]
            for held, offered in zip(self._layers, layers, strict=True):
                held[to] = offered[now]
            self.rows += len(now)
            if self.rows == self.capacity:
                self.compact()
                rows = rows[keys[rows] < self.below]

    def compact(self) -> None:
        """Drop all but the ``size`` rows with the smallest keys."""
        if self.rows <= self.size:
            return
        keep = np.zeros(self.rows, bool)
        keep[np.argpartition(self._keys[: self.rows], self.size - 1)[: self.size]] = True
        holes = np.flatnonzero(~keep[: self.size])
        movers = self.size + np.flatnonzero(keep[self.size :])
        arrays: list[np.ndarray] = [self._keys, *self._layers]
        for held in arrays:
            held[holes] = held[movers]
        self.rows = self.size
        self.below = float(self._keys[: self.size].max())

    def layers(self) -> list[np.ndarray]:
        """What was kept of each layer, float32 [rows, D]: views, valid until the next frames are offered."""
        self.compact()
        return [held[: self.rows] for held in self._layers]

    def clear(self) -> None:
        """Start anew."""
        self.rows, self.below = 0, self._share

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """All that :meth:`read` needs to go on from here, as named arrays."""
        found = {f"{name}_below": np.array(self.below), f"{name}_keys": self._keys[: self.rows]}
        return found | {f"{name}_{i}": held[: self.rows] for i, held in enumerate(self._layers)}

    def read(self, archive: zipfile.ZipFile, name: str) -> None:
        """Take up what :meth:`arrays` gave, from an uncompressed ``.npz``."""
        below = np.empty(1)
        _read(archive, f"{name}_below", below)
        self.below = float(below[0])
        self.rows = _read(archive, f"{name}_keys", self._keys)
        for i, held in enumerate(self._layers):
            _read(archive, f"{name}_{i}", held)


def _read(archive: zipfile.ZipFile, name: str, target: np.ndarray) -> int:
    """Fill the first rows of ``target``, without a second copy in memory as numpy's own reader would have."""
    with archive.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        rows = shape[0] if shape else 1
        if dtype != target.dtype or shape[1:] != target.shape[1:] or rows > len(target):
            raise ValueError(f"{name} is {dtype} {shape}")
        flat = target[:rows].reshape(-1).view(np.uint8)
        at = 0
        while piece := file.read(READ_BYTES):
            flat[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
            at += len(piece)
    return rows

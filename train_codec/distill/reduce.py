"""Fewer dimensions for a teacher's features: principal components, fitted on a sample of the clips.

Transformers put huge values into a few dimensions of a few frames, mostly silent ones that the others attend to when
they have nothing else to attend to (Sun et al. 2024, "Massive Activations in Large Language Models"): in Whisper base
500 where others have 5. They would be the first component, and the whole target of their frames. So each dimension is
first limited to a range that ordinary frames stay in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codectok.errors import FormatError
from codectok.files.atomic import atomic_path

RANGE = 10.0
"""In median absolute deviations; of a normal distribution, one value in 10 to the 11th lies outside."""


@dataclass(frozen=True)
class Reduction:
    """``y = (clip(x, low, high) - mean) @ basis``: the directions of most variance, of unit length, strongest first."""

    low: np.ndarray
    """float32 [D]: the sample's median less ``RANGE`` times its median absolute deviation."""
    high: np.ndarray
    """float32 [D]: the same above the median."""
    mean: np.ndarray
    """float32 [D]."""
    basis: np.ndarray
    """float32 [D, d]."""
    explained: float
    """Share of the sample's variance that the d directions hold."""

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """float32 [T, D] -> float32 [T, d]."""
        return (np.clip(features, self.low, self.high) - self.mean) @ self.basis

    @classmethod
    def fit(cls, sample: np.ndarray, dim: int) -> Reduction:
        """Principal components of the frames ``sample`` [N, D].

        Raises:
            FormatError: ``dim`` is not between 1 and D, or there are fewer frames than it.
        """
        frames, width = sample.shape
        if not 1 <= dim <= width:
            raise FormatError(f"{dim} dimensions of a teacher that has {width}: give 1 to {width}, or none for all")
        if frames < dim:
            raise FormatError(f"{frames} frames are too few for {dim} principal components: give more clips")
        median = np.median(sample, 0)
        spread = RANGE * np.median(np.abs(sample - median), 0)
        low, high = (median - spread).astype(np.float32), (median + spread).astype(np.float32)
        x = np.clip(sample, low, high).astype(np.float64)
        mean = x.mean(0)
        values, vectors = np.linalg.eigh(np.cov(x, rowvar=False, bias=True).reshape(width, width))
        basis = vectors[:, ::-1][:, :dim]
        # An eigenvector's sign is arbitrary: the largest entry is made positive.
        basis = basis * np.sign(basis[np.abs(basis).argmax(0), np.arange(dim)])
        explained = float(values[::-1][:dim].sum() / max(values.sum(), 1e-12))
        return cls(low, high, mean.astype(np.float32), basis.astype(np.float32), explained)

    def save(self, path: Path) -> None:
        """Write as .npz, whole or not at all."""
        with atomic_path(path) as temporary:
            np.savez(
                temporary, low=self.low, high=self.high, mean=self.mean, basis=self.basis, explained=self.explained
            )

    @classmethod
    def load(cls, path: Path) -> Reduction:
        """Read what :meth:`save` wrote."""
        with np.load(path) as stored:
            return cls(stored["low"], stored["high"], stored["mean"], stored["basis"], float(stored["explained"]))

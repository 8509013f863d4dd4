"""From a sample of frames to unit streams: k-means for each layer, level after level on what is left over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from codectok.units.kmeans.unit_stream import UnitStream
from kmeans_units.kmeans import BLOCK, KMeansOptions, assign, check_count, fit_kmeans
from kmeans_units.kmeans_state import KMeansState

LEAST_SCALE = 1e-5
"""Of the largest standard deviation: a feature that hardly varies is not blown up beyond this."""


def fit_stream(
    layer_index: int,
    frames: np.ndarray,
    valid: np.ndarray,
    sizes: Sequence[int],
    *,
    standardize: bool,
    seed: int,
    options: KMeansOptions,
    progress: Callable[[], None] = lambda: None,
    state_of: Callable[[int], KMeansState | None] = lambda level: None,
) -> tuple[UnitStream, dict[str, Any]]:
    """Fit the codebooks of one layer.

    Args:
        layer_index: of the stream.
        frames: float32 [N, D], overwritten: with several levels or standardised, only memory for one copy is needed.
        valid: held-out frames [M, D], overwritten as well; M may be 0.
        sizes: clusters of each level.
        standardize: bring each feature to zero mean and unit variance first.
        seed: of the k-means.
        options: of the k-means.
        progress: called after each round of each level.
        state_of: where each level's k-means is kept as it goes.

    Returns:
        The stream, and its figures: held-out ``variance`` (mean squared distance to the mean) and, of each level, its
        ``k``, ``inertia`` and ``valid_inertia`` (mean squared distance of a frame to its centroid; None with none held
        out), ``dead`` clusters, ``valid_used`` (share of the clusters) and ``points`` (frames) fitted on.

    Raises:
        CodectokError: as :func:`~kmeans_units.kmeans.fit_kmeans`.
    """
    check_count(len(frames), max(sizes))
    mean = scale = None
    if standardize:
        mean, scale = _moments(frames)
        scale = np.maximum(scale, LEAST_SCALE * scale.max() or 1.0)
        for array in (frames, valid):
            array -= mean
            array /= scale
    variance = float(np.square(_moments(valid)[1], dtype=np.float64).sum()) if len(valid) else None
    levels: list[dict[str, Any]] = []
    centroids: list[np.ndarray] = []
    for i, k in enumerate(sizes):
        fit = fit_kmeans(frames, k, seed=seed, options=options, progress=progress, state=state_of(i))
        centroids.append(fit.centroids)
        figures: dict[str, Any] = {"k": k, "inertia": fit.inertia, "valid_inertia": None, "valid_used": None}
        if len(valid):
            units, distances = assign(valid, fit.centroids)
            figures |= {"valid_inertia": float(distances.mean(dtype=np.float64)), "valid_used": len(set(units)) / k}
        levels.append(figures | {"dead": fit.dead, "points": fit.points})
        if i + 1 < len(sizes):
            subtract(frames, fit.centroids)
            subtract(valid, fit.centroids)
    tensors = [torch.from_numpy(c) for c in centroids]
    standard = [None if t is None else torch.from_numpy(t) for t in (mean, scale)]
    return UnitStream(layer_index, tensors, *standard), {"variance": variance, "levels": levels}


def subtract(frames: np.ndarray, centroids: np.ndarray) -> None:
    """Leave of each frame what its centroid does not account for, in place."""
    for i in range(0, len(frames), BLOCK):
        block = frames[i : i + BLOCK]
        block -= centroids[assign(block, centroids)[0]]


def _moments(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature, float32 [D]."""
    total = sum(frames[i : i + BLOCK].sum(0, dtype=np.float64) for i in range(0, len(frames), BLOCK))
    mean = total / len(frames)
    squares = sum(np.square(frames[i : i + BLOCK] - mean).sum(0) for i in range(0, len(frames), BLOCK))
    return mean.astype(np.float32), np.sqrt(squares / len(frames)).astype(np.float32)

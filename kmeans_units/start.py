"""Greedy k-means++ (Arthur and Vassilvitskii 2007, section 5): starts that are spread over the data, drawn together.

scikit-learn's ``kmeans_plusplus`` makes one start at a time and reads the frames once for each centroid of it. Three
starts of 500 centroids over 32,768 frames of 256 values took it 36.6 s on one thread, and this 6.2 s, with inertias
within 0.3 % of each other.
"""

from __future__ import annotations

import math

import numpy as np

INIT_FRAMES = 32768
"""Most frames that starts are drawn from."""


def best_start(
    frames: np.ndarray, k: int, *, starts: int, rng: np.random.Generator, trials: int = 0
) -> tuple[np.ndarray, list[float]]:
    """The best of several k-means++ starts, by its inertia on the frames it was drawn from.

    Each further centroid is the best of some candidates, each drawn with a chance proportional to its squared distance
    to the nearest centroid so far. The j-th centroids of all starts are found together: the frames are read ``k``
    times, however many starts there are.

    Args:
        frames: [N, D]; a draw without replacement of at most ``INIT_FRAMES`` (or k, if that is more) is used.
        k: centroids, at most N.
        starts: that are drawn.
        rng: decides all.
        trials: candidates; 0: 2 + ln(k), as scikit-learn has it.

    Returns:
        float32 [k, D], and the inertia per frame of each start.
    """
    n = min(len(frames), max(INIT_FRAMES, k))
    rows = np.sort(rng.choice(len(frames), n, replace=False)) if n < len(frames) else np.arange(n)
    drawn = np.asarray(frames[rows], dtype=np.float32)
    middle = drawn.mean(0, dtype=np.float64).astype(np.float32)
    drawn -= middle  # products of values far from zero would lose the digits that tell near frames apart
    norms = np.einsum("nd,nd->n", drawn, drawn)
    trials = trials or 2 + int(math.log(k))
    each = np.arange(starts)
    chosen = np.empty((starts, k), np.int64)
    chosen[:, 0] = rng.integers(n, size=starts)
    nearest = _squares(drawn, norms, chosen[:, 0])
    for j in range(1, k):
        candidates = np.stack([_draw(row, trials, rng) for row in nearest])
        squares = _squares(drawn, norms, candidates.ravel()).reshape(starts, trials, n)
        np.minimum(squares, nearest[:, None], out=squares)
        best = squares.sum(2).argmin(1)
        nearest, chosen[:, j] = squares[each, best], candidates[each, best]
    inertias = nearest.mean(1, dtype=np.float64)
    return drawn[chosen[inertias.argmin()]] + middle, inertias.tolist()


def _squares(frames: np.ndarray, norms: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Squared distances of all frames to some of them, [len(rows), N]."""
    squares = frames[rows] @ frames.T
    squares *= -2
    squares += norms
    squares += norms[rows, None]
    np.maximum(squares, 0, out=squares)
    squares[np.arange(len(rows)), rows] = 0
    return squares


def _draw(weights: np.ndarray, times: int, rng: np.random.Generator) -> np.ndarray:
    """Places drawn with a chance proportional to their weight; any, where all are 0."""
    sums = np.cumsum(weights, dtype=np.float64)
    if sums[-1] <= 0:
        return rng.integers(len(weights), size=times)
    # The first place whose sum exceeds the draw: one of weight 0 is never taken.
    return np.minimum(np.searchsorted(sums, rng.random(times) * sums[-1], side="right"), len(weights) - 1)

"""Intervals of means over seeds, paired tests of two systems on the same clips, and Holm's correction."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from codectok.errors import CodectokError
from codectok.metrics.bootstrap import Interval

EXACT = 14
"""Clips that differ up to which all sign patterns are gone through (2^14), rather than some drawn."""
DRAWS = 20000
_AT_ONCE = 500


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean over seeds with Student's interval; no bounds for one value, which has no spread.

    Raises:
        CodectokError: no values.
    """
    data = np.asarray(values, dtype=np.float64)
    if not data.size:
        raise CodectokError("a mean needs at least one value")
    mean = float(data.mean())
    if data.size == 1:
        return Interval(mean, None, None, 1)
    from scipy.stats import t

    half = float(t.ppf((1 + confidence) / 2, data.size - 1) * data.std(ddof=1) / np.sqrt(data.size))
    return Interval(mean, mean - half, mean + half, int(data.size))


def sign_flip(differences: np.ndarray, draws: int = DRAWS, seed: int = 0) -> float:
    """Two-sided p of "the mean of paired differences is 0" (Fisher's randomization test).

    Exact where at most :data:`EXACT` clips differ; else of ``draws`` sign patterns, the observed one counted among
    them, so that p is never 0 (Phipson and Smyth 2010).

    Args:
        differences: one value a clip [n].
        draws: sign patterns drawn.
        seed: of the drawing.
    """
    data = np.asarray(differences, dtype=np.float64)
    data = data[data != 0]
    if not data.size:
        return 1.0
    # Patterns that reach the observed sum must not be missed for rounding.
    least = abs(float(data.sum())) * (1 - 1e-12) - 1e-12
    if data.size <= EXACT:
        patterns = np.arange(2**data.size)[:, None] >> np.arange(data.size) & 1
        return float((np.abs((1.0 - 2.0 * patterns) @ data) >= least).mean())
    signs = _signs(data.size, draws, seed)
    parts = (signs[i : i + _AT_ONCE].astype(np.float64) for i in range(0, draws, _AT_ONCE))
    reached = sum(int((np.abs(part @ data) >= least).sum()) for part in parts)
    return (reached + 1) / (draws + 1)


@functools.lru_cache(maxsize=8)
def _signs(n: int, draws: int, seed: int) -> np.ndarray:
    """Int8 [draws, n] of -1 and 1: the pairs of a column share them."""
    rng = np.random.default_rng(seed)
    bits = np.unpackbits(rng.integers(0, 256, (draws, -(-n // 8)), dtype=np.uint8), axis=1, count=n)
    return (1 - 2 * bits.astype(np.int8)).astype(np.int8)


@functools.lru_cache(maxsize=2)
def _counts(n: int, draws: int, seed: int) -> np.ndarray:
    """Uint8 [draws, n]: how often each clip is in a sample of n."""
    rng = np.random.default_rng(seed)
    rows = (np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(draws))
    return np.stack([row.astype(np.uint8) for row in rows])


def paired_bootstrap(
    first: np.ndarray, second: np.ndarray, draws: int = DRAWS, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float, float, float]:
    """Difference of two corpus-level ratios (WER) over the same clips, its interval, and a two-sided p.

    Clips are drawn with replacement, each with both systems' values (Bisani and Ney, ICASSP 2004). p is twice the
    share of draws on the far side of 0, one draw counted beside them, so that it is never 0.

    Args:
        first, second: [n, 2]: value and weight of each clip; the ratio is the sum of values over that of weights.
        draws: samples of n clips.
        seed: of the drawing.
        confidence: of the interval.

    Returns:
        Difference (first minus second), low, high, p.
    """
    observed = _ratio(first.sum(0)) - _ratio(second.sum(0))
    if np.array_equal(first, second):
        return observed, observed, observed, 1.0
    counts, both = _counts(len(first), draws, seed), np.concatenate([first, second], axis=1)
    parts = []
    for start in range(0, draws, _AT_ONCE):
        sums = counts[start : start + _AT_ONCE].astype(np.float64) @ both
        kept = sums[(sums[:, 1] > 0) & (sums[:, 3] > 0)]
        parts.append(kept[:, 0] / kept[:, 1] - kept[:, 2] / kept[:, 3])
    found = np.concatenate(parts)
    far = min(int((found <= 0).sum()), int((found >= 0).sum()))
    tail = (1 - confidence) / 2
    low, high = (float(q) for q in np.quantile(found, [tail, 1 - tail]))
    return observed, low, high, min(1.0, 2 * (far + 1) / (len(found) + 1))


def _ratio(sums: np.ndarray) -> float:
    return float(sums[0] / sums[1])


def holm(values: Sequence[float]) -> list[float]:
    """p-values after Holm's step-down correction (Scandinavian Journal of Statistics 6, 1979), in the same order."""
    adjusted = [0.0] * len(values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[i]))
        adjusted[i] = highest
    return adjusted


def ranks(values: Sequence[float]) -> list[float]:
    """Rank of each value, 1 for the lowest; equal values share the mean of their ranks."""
    data = np.asarray(values, dtype=np.float64)
    return [float((data < v).sum() + ((data == v).sum() + 1) / 2) for v in data]

"""Systems against each other on the same clips, and the marks that tables get from it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .aggregate import Figure
from .items import is_mean, metric_of, over_seeds, scale_of, shared_clips
from .stats import holm, paired_bootstrap, sign_flip

LEVEL = 0.05
"""p, after Holm's correction, below which two systems are told apart."""


@dataclass(frozen=True)
class Pair:
    """Two systems on the clips that both were scored on.

    Attributes:
        first, second: their figures.
        difference: first minus second on those clips, in the metric's unit.
        p: of no difference; ``adjusted`` by Holm over the pairs of its table.
        clips: in the test.
        test: its name.
    """

    first: Figure
    second: Figure
    difference: float
    p: float
    adjusted: float
    clips: int
    test: str


def pair_test(first: Figure, second: Figure) -> Pair | None:
    """Paired test of two figures of one metric and test set; None where one of them is no sum over clips.

    Clips count with the mean over their seeds, so the test tells how sure the difference is over *clips*. Of a signed
    metric it is how far from 0 they are that is compared: too loud and too quiet are errors alike.
    """
    scales = [scale_of(f.items[0], f.values[0], f.metric) if f.items else None for f in (first, second)]
    if scales[0] is None or scales[0] != scales[1]:
        return None
    clips = shared_clips([*first.items, *second.items])
    if len(clips) < 2:
        return None
    a, b = over_seeds(first.items, clips), over_seeds(second.items, clips)
    if metric_of(first.metric).signed:
        a[:, 0], b[:, 0] = np.abs(a[:, 0]), np.abs(b[:, 0])
    if all(map(is_mean, (*first.items, *second.items))):
        apart = a[:, 0] - b[:, 0]
        difference, p, test = float(apart.mean()), sign_flip(apart), "sign-flip permutation"
    elif not a[:, 1].sum() or not b[:, 1].sum():
        return None
    else:
        difference, _, _, p = paired_bootstrap(a, b)
        test = "paired bootstrap"
    return Pair(first, second, scales[0] * difference, p, p, len(clips), test)


def all_pairs(figures: Sequence[Figure]) -> list[Pair]:
    """Every pair of a column, corrected together; pairs that cannot be tested are left out."""
    pairs = [pair for a, b in itertools.combinations(figures, 2) if (pair := pair_test(a, b))]
    return [replace(pair, adjusted=p) for pair, p in zip(pairs, holm([p.p for p in pairs]), strict=True)]


def marks(figures: Sequence[Figure], pairs: Sequence[Pair]) -> dict[int, str]:
    """{position in ``figures``: mark} of the rivals: "best", or "tied" for one that is not told apart from the best.

    Without a test (the metric is no sum over clips) only the best is marked, and none is called tied.
    """
    rivals = [(i, f.mean) for i, f in enumerate(figures) if f.group.system.codes and f.mean is not None]
    if len(rivals) < 2:
        return {}
    values = [mean for _, mean in rivals]
    best = max(values, key=metric_of(figures[0].metric).goodness)
    found = {i: "best" for i, mean in rivals if mean == best}
    for pair in pairs:
        ends = [next(i for i, f in enumerate(figures) if f is end) for end in (pair.first, pair.second)]
        for one, other in (ends, ends[::-1]):
            if found.get(one) == "best" and other in dict(rivals) and pair.adjusted >= LEVEL:
                found.setdefault(other, "tied")
    return found

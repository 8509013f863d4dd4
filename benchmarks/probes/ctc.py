"""What a CTC model writes: the best path, or the best text of a few that are kept. Label 0 is the blank."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby, pairwise

import numpy as np

TOP = 12
"""Labels of a frame that beam search goes on with; the rest have next to no probability."""


def greedy(logs: np.ndarray) -> list[int]:
    """The likeliest label of each frame, equal neighbours joined, blanks dropped (Graves et al. 2006, best path).

    Args:
        logs: log probabilities, float [T, labels].
    """
    return [int(label) for label, _ in groupby(logs.argmax(1).tolist()) if label]


def beam_search(logs: np.ndarray, beam: int) -> list[int]:
    """The likeliest text found, its probability summed over alignments (prefix search, Hannun et al. 2014).

    Args:
        logs: log probabilities, float [T, labels].
        beam: texts that are kept after each frame.
    """
    # Of each text: log probability that it ends in a blank, and that it ends in its last label.
    texts: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for frame in logs.astype(np.float64):
        top = [int(label) for label in np.argsort(-frame, kind="stable")[:TOP]]
        grown: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        for text, (blank, last) in texts.items():
            both = _either(blank, last)
            for label in top:
                p = float(frame[label])
                if label == 0:
                    grown[text][0] = _either(grown[text][0], both + p)
                    continue
                repeated = text[-1:] == (label,)
                if repeated:
                    grown[text][1] = _either(grown[text][1], last + p)
                longer = grown[(*text, label)]
                longer[1] = _either(longer[1], (blank if repeated else both) + p)
        best = sorted(grown, key=lambda text: (-_either(*grown[text]), text))[:beam]
        texts = {text: (grown[text][0], grown[text][1]) for text in best}
    return list(next(iter(texts)))


def _either(a: float, b: float) -> float:
    """Log of the sum of two probabilities."""
    high, low = max(a, b), min(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def frames_needed(labels: Sequence[int]) -> int:
    """Frames that CTC needs for a text: one a label, and a blank between two equal neighbours."""
    return len(labels) + sum(a == b for a, b in pairwise(labels))

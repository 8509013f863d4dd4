"""How many processes a run has, told before anything slow is imported, so that they can get ready meanwhile."""

from __future__ import annotations

import math

from codectok.corpus.reading import measure
from codectok.items.corpus import Corpus
from codectok.items.item import Item
from codectok.processes import usable_cores, warm_up

SMALL_ITEMS, SMALL_SECONDS = 200, 600.0
"""A corpus with no more than this is done before worker processes could begin."""
PRELOAD = ("codectok.corpus.worker",)
"""What every worker imports."""


def default_workers(corpus: Corpus) -> int:
    """Processes that a run uses if nothing is said: one for each usable core, or this one for a small corpus."""
    return 1 if _is_small(corpus) else usable_cores()


def prepare_workers(corpus: Corpus, workers: int | None) -> int:
    """How many a run on processor cores will have; several begin to get ready beside this process."""
    count = workers or default_workers(corpus)
    if count > 1:
        warm_up(PRELOAD)
    return count


def _is_small(corpus: Corpus) -> bool:
    items: list[Item] = []
    for item in corpus:
        if len(items) == SMALL_ITEMS:
            return False
        items.append(item)
    # What has no length is no audio, and fails at once.
    return sum(seconds for seconds in measure(items)[0] if seconds < math.inf) <= SMALL_SECONDS

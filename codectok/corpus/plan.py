"""How the items of one shard are cut into batches: a pure function of their lengths.

What comes out of a tokenizer may depend, in the last bit of a float, on what it was run together with. So batches never
cross the border of a shard, and nothing decides them but the lengths: not the workers, the engine, or where a run was
stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BATCH_SECONDS = 60.0
"""Most audio in one batch, padding included, where nothing else is said."""
LONG_SECONDS = 60.0
"""Items longer than this are streamed from disk, where the tokenizer is causal."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Items that are encoded together.

    Attributes:
        indices: of the items in their shard.
        streamed: one long item, read from disk block by block as it is encoded.
    """

    indices: tuple[int, ...]
    streamed: bool = False


def plan(
    lengths: Sequence[float], batch_seconds: float, *, causal: bool, long_seconds: float | None = None
) -> list[Batch]:
    """Batches of neighbours in length, the longest first, so that a run's last steps are its shortest.

    Each batch holds as many items as fit in ``batch_seconds`` when all are padded to its longest, and at least one.
    Equal lengths keep the shard's order.

    Args:
        lengths: of the shard's items, in seconds; infinite where nothing tells it: such an item is a batch of its own.
        batch_seconds: most audio in one batch.
        causal: whether long items can be streamed.
        long_seconds: what is long; default ``LONG_SECONDS``.
    """
    limit = LONG_SECONDS if long_seconds is None else long_seconds
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    found: list[Batch] = []
    batch: list[int] = []
    for i in order:
        if causal and limit < lengths[i] < math.inf:
            found.append(Batch((i,), streamed=True))
            continue
        # The order is descending: the first of a batch is its longest, and sets the padded length of all.
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_seconds:
            found.append(Batch(tuple(batch)))
            batch = []
        batch.append(i)
    if batch:
        found.append(Batch(tuple(batch)))
    return found

"""Which utterances are run together."""

from __future__ import annotations

from collections.abc import Sequence


def batches(lengths: Sequence[int], limit: float, equal_only: bool = False) -> list[list[int]]:
    """Indices of what to run together: sorted by length, each batch at most ``limit`` with its padding counted.

    A batch holds at least one item, and items of one length only if ``equal_only``. With a limit of 0 every item is on
    its own, in the order given.
    """
    if limit <= 0:
        return [[i] for i in range(len(lengths))]
    found: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        first = lengths[found[-1][0]] if found else 0  # the longest of its batch
        if found and first * (len(found[-1]) + 1) <= limit and not (equal_only and lengths[i] != first):
            found[-1].append(i)
        else:
            found.append([i])
    return found

"""Which triples ABX is made of: items grouped by context, speaker and phone, and the cells of these groups."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codectok.metrics.items import AbxItem

Groups = dict[tuple[str, str], dict[str, dict[str, np.ndarray]]]
"""context -> speaker -> phone -> items."""


@dataclass(frozen=True)
class AbxCell:
    """Items of A, B and X in one context; ``within``: A and X are the same items, each compared with the others."""

    key: tuple[str, str, str]
    """Phone of A, phone of B, speaker of A."""
    a: np.ndarray
    b: np.ndarray
    x: np.ndarray
    within: bool


def grouped(items: Sequence[AbxItem], in_context: bool, most: int | None, seed: int) -> tuple[Groups, int]:
    """Items by context, speaker and phone, at most ``most`` each; and how many that leaves out."""
    found: dict[tuple[str, str], dict[str, dict[str, list[int]]]] = {}
    for i, item in enumerate(items):
        context = (item.before, item.after) if in_context else ("", "")
        found.setdefault(context, {}).setdefault(item.speaker, {}).setdefault(item.phone, []).append(i)
    groups: Groups = {}
    left_out = 0
    for context, speakers in sorted(found.items()):
        groups[context] = {}
        for speaker, phones in sorted(speakers.items()):
            groups[context][speaker] = {}
            for phone, numbers in sorted(phones.items()):
                # By name and time, so that the draw does not depend on the order of the file.
                ordered = sorted(numbers, key=lambda i: (items[i].file, items[i].onset))
                kept = _draw(len(ordered), most, seed, (*context, speaker, phone))
                left_out += len(ordered) - len(kept)
                groups[context][speaker][phone] = np.array(ordered)[kept]
    return groups, left_out


def _draw(count: int, most: int | None, seed: int, names: Iterable[str]) -> np.ndarray:
    """``most`` of ``count`` numbers, in order."""
    if most is None or count <= most:
        return np.arange(count)
    key = zlib.crc32("\0".join(names).encode())
    return np.sort(np.random.default_rng([seed, key]).permutation(count)[:most])


def within_speakers(groups: Groups) -> Iterator[AbxCell]:
    """Cells of one speaker each: at least two items of A's phone, one of B's."""
    for speakers in groups.values():
        for speaker, phones in speakers.items():
            for a, x in phones.items():
                for b, other in phones.items():
                    if a != b and len(x) > 1:
                        yield AbxCell((a, b, speaker), x, other, x, True)


def across_speakers(groups: Groups, most: int | None, seed: int) -> Iterator[AbxCell]:
    """Cells whose X is of another speaker, at most ``most`` such speakers for each A and B."""
    for context, speakers in groups.items():
        for speaker, phones in speakers.items():
            for a in phones:
                others = [s for s in speakers if s != speaker and a in speakers[s]]
                for b in phones:
                    if a != b:
                        for n in _draw(len(others), most, seed, (*context, speaker, a, b)):
                            yield AbxCell((a, b, speaker), phones[a], phones[b], speakers[others[n]][a], False)

"""ABX: how often a sound is nearer to another of its own kind than to one of another kind.

Schatz et al. 2013, as libri-light (Kahn et al. 2020) and fastabx compute it: A and X are tokens of one phone, B of
another, all three between the same phones ("in context"). The triple counts 1 if d(X, A) < d(X, B), 1/2 if they are
equal; the error is 1 minus the mean. Within speakers, all three are of one speaker; across, A and B are of one and X of
another. d is the path-normalised DTW (:mod:`codectok.metrics.dtw`) of the distance of frames: for features, the angle
``arccos(cos(x, y)) / pi``; for units, 0 if they are the same and 1 if not.

A cell is one phone pair (a, b) in one context of one speaker (across: and one speaker of X). Its error is the mean over
its triples. Cells are averaged over contexts and speakers of X, then over speakers, then over ordered phone pairs, so
that (a, b) and (b, a) both count, which makes it symmetric.

fastabx itself has no wheel for every Python that this package runs on; this is an implementation of its own, held to a
slow reference by the tests. It keeps the frames of all items in memory, and little else: distances are computed in
batches of bounded size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from codectok.metrics.abx_cells import AbxCell, across_speakers, grouped, within_speakers
from codectok.metrics.dtw import dtw
from codectok.metrics.items import AbxItem
from codectok.metrics.registry import MetricError

_BATCH = 1 << 22
"""Most numbers in one array of a batch: 16 MiB as float32."""
_PAIRS_AT_ONCE = 1 << 20
"""Most pairs of items that are held at a time."""


@dataclass(frozen=True)
class AbxScore:
    """An error from 0 to 1 (chance is 1/2), and what it is the mean of.

    Attributes:
        error: as defined above.
        pairs: ordered phone pairs.
        cells: of them all.
        triples: of all cells.
        items: that were in some cell.
        left_out: items that ``max_size`` left out.
    """

    error: float
    pairs: int
    cells: int
    triples: int
    items: int
    left_out: int


def abx(
    items: Sequence[AbxItem],
    frames: Sequence[np.ndarray],
    *,
    across: bool = False,
    in_context: bool = True,
    max_size: int | None = 10,
    max_x_across: int | None = 5,
    seed: int = 0,
) -> AbxScore:
    """ABX error of some items.

    Args:
        items: see :func:`codectok.metrics.items.read_items`.
        frames: of each item: units int [T], or features float [T, D]; T >= 1.
        across: X is of another speaker; otherwise the same.
        in_context: A, B and X are between the same phones; otherwise contexts are not looked at, for small corpora
            (then give items of phones, not of triphones).
        max_size: take at most so many items of a phone in one context of one speaker, drawn by ``seed``; 10 in
            libri-light. None takes all.
        max_x_across: take at most so many speakers of X for each A and B, drawn by ``seed``; 5 in libri-light.
        seed: of both draws. A draw depends on the names in it only, not on other items or their order.

    Raises:
        MetricError: no triple, an item without frames, or frames of different kinds.
    """
    _check(items, frames)
    distance = _identical if frames[0].ndim == 1 else _angular
    keep = [_unit(f) for f in frames] if frames[0].ndim == 2 else list(frames)
    groups, left_out = grouped(items, in_context, max_size, seed)
    cells = across_speakers(groups, max_x_across, seed) if across else within_speakers(groups)
    errors: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    num_cells, num_triples, used = 0, 0, set[int]()
    for some in _chunks(cells):
        look_up = _distances(some, keep, distance)
        for cell in some:
            errors[cell.key].append(_error(cell, look_up))
            num_cells += 1
            num_triples += len(cell.b) * len(cell.x) * (len(cell.a) - cell.within)
            used.update(np.concatenate([cell.a, cell.b, cell.x]).tolist())
    if not errors:
        raise MetricError("no triple can be formed: ABX needs phones that recur between the same neighbours")
    speakers: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (a, b, _), found in errors.items():
        speakers[a, b].append(float(np.mean(found)))
    error = float(np.mean([np.mean(found) for found in speakers.values()]))
    return AbxScore(error, len(speakers), num_cells, num_triples, len(used), left_out)


def _check(items: Sequence[AbxItem], frames: Sequence[np.ndarray]) -> None:
    if not items or len(items) != len(frames):
        raise MetricError(f"{len(items)} items and the frames of {len(frames)}: give both of at least one")
    shapes = {(f.ndim, *f.shape[1:]) for f in frames}
    if len(shapes) > 1 or frames[0].ndim not in (1, 2):
        raise MetricError("give units [T] of every item, or features [T, D] of every item")
    if not all(len(f) for f in frames):
        raise MetricError("an item has no frames: leave it out and count it")
    if frames[0].ndim == 2 and not all(np.isfinite(f).all() for f in frames):
        raise MetricError("features are NaN or infinite: leave the clip out and count it")


def _chunks(cells: Iterable[AbxCell]) -> Iterator[list[AbxCell]]:
    some: list[AbxCell] = []
    size = 0
    for cell in cells:
        some.append(cell)
        size += len(cell.x) * (len(cell.a) + len(cell.b))
        if size >= _PAIRS_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _pairs(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of all pairs [len(first), len(second)], the smaller one first: the distance is symmetric."""
    x, y = np.broadcast_arrays(first[:, None], second[None])
    return np.minimum(x, y), np.maximum(x, y)


def _distances(
    cells: Sequence[AbxCell], frames: list[np.ndarray], distance: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function that looks up the distance of all pairs of these cells, each of which is computed once."""
    keys = []
    for cell in cells:
        for other in (cell.a, cell.b):
            low, high = _pairs(cell.x, other)
            keys.append((low * len(frames) + high)[low != high].ravel())
    wanted = np.unique(np.concatenate(keys))
    left, right = np.divmod(wanted, len(frames))
    lengths = np.array([len(f) for f in frames])
    values = np.empty(len(wanted))
    order = np.lexsort((lengths[right], lengths[left]))  # pairs of like shapes together: little padding
    width = frames[0].shape[1] if frames[0].ndim == 2 else 1
    longest = int(max(lengths[left].max(), lengths[right].max())) if len(wanted) else 1
    step = max(1, _BATCH // (longest * max(longest, width)))
    for at in range(0, len(order), step):
        some = order[at : at + step]
        x, y = _padded(frames, left[some]), _padded(frames, right[some])
        values[some] = dtw(distance(x, y), lengths[left[some]], lengths[right[some]])

    def look_up(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        low, high = _pairs(first, second)
        at = np.searchsorted(wanted, low * len(frames) + high).clip(max=len(wanted) - 1)
        return values[at]

    return look_up


def _padded(frames: list[np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """Frames of the chosen items, [P, N] or [P, N, D], zeros after each one's end."""
    longest = max(len(frames[i]) for i in chosen)
    found = np.zeros((len(chosen), longest, *frames[0].shape[1:]), dtype=frames[0].dtype)
    for row, i in enumerate(chosen):
        found[row, : len(frames[i])] = frames[i]
    return found


def _unit(features: np.ndarray) -> np.ndarray:
    """Features [T, D] of length 1; zeros stay zeros, at a right angle to everything."""
    x = np.asarray(features, dtype=np.float32)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _angular(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    cosines = torch.bmm(torch.from_numpy(x), torch.from_numpy(y).mT)
    return (cosines.clamp_(-1.0, 1.0).acos_() / np.pi).numpy()


def _identical(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x[:, :, None] != y[:, None, :]).astype(np.float32)


def _error(cell: AbxCell, look_up: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float:
    """1 - the share of the cell's triples that are right."""
    to_a, to_b = look_up(cell.x, cell.a), look_up(cell.x, cell.b)
    right = (to_a[:, :, None] < to_b[:, None, :]) + 0.5 * (to_a[:, :, None] == to_b[:, None, :])
    if cell.within:  # no item is compared with itself
        itself = np.eye(len(cell.x), dtype=bool)
        return 1.0 - float(right[~itself].mean())
    return 1.0 - float(right.mean())

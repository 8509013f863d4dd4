"""What a corpus of units looks like: how many are used, how many bits they carry, and what they know of phones.

One codebook at a time. Entropies are of the counts over the whole corpus, without memory: ``H = -sum p(z) log2 p(z)``;
perplexity is ``2^H``. The entropy bitrate is frames per second times H; after deduplication, runs per second times the
entropy of the runs (which leaves out what the durations would cost).

With phones: PNMI and purities (:mod:`codectok.metrics.units`) of the frames that have a label, silence counted as one.
PNMI of many units on few frames is too high; two figures are not:

* corrected PNMI = (PNMI - c) / (1 - c), with c the PNMI of shuffled frames: 0 for units that know nothing (the form of
  the adjusted mutual information, Vinh et al. 2010);
* held-out PNMI: what the units tell of the phones of clips that were not counted, over H(phone). Folds are of whole
  clips. It is a lower bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from codectok.metrics.bootstrap import Interval
from codectok.metrics.registry import MetricError
from codectok.metrics.robustness import dedup
from codectok.metrics.units import (
    bootstrap_clips,
    chance_pnmi,
    cluster_purity,
    contingency,
    entropy,
    held_out_information,
    phone_purity,
    pnmi,
)

FOLDS = 10
"""Of the held-out PNMI; as many as there are clips, where they are fewer."""


@dataclass(frozen=True)
class Usage:
    """One codebook's units over a corpus.

    Attributes:
        size: codes of the codebook.
        used: different ones that occur.
        perplexity: 2^H.
        entropy: H, bits a frame.
        bitrate: nominal, bit/s: frame rate times log2 size.
        entropy_bitrate: bit/s: frame rate times H.
        token_rate: frames per second of audio, the last frame of each clip counted whole.
        dedup_rate: runs of equal units per second of audio.
        dedup_entropy_bitrate: bit/s of these runs, without their durations.
        frames: counted.
        clips: counted.
        seconds: of audio.
    """

    size: int
    used: int
    perplexity: float
    entropy: float
    bitrate: float
    entropy_bitrate: float
    token_rate: float
    dedup_rate: float
    dedup_entropy_bitrate: float
    frames: int
    clips: int
    seconds: float

    @property
    def used_share(self) -> float:
        """Of the codes."""
        return self.used / self.size


@dataclass(frozen=True)
class PhoneScores:
    """What one codebook's units know of phones; ``frames`` of ``clips`` have a label.

    Attributes:
        pnmi: raw.
        chance: PNMI of shuffled frames.
        corrected: (pnmi - chance) / (1 - chance), with an interval over clips; None where chance is 1: nothing to tell.
        held_out: held-out PNMI with its interval over clips.
        phone_purity, cluster_purity: see the functions of these names.
        labels: different labels.
        label_entropy: H(phone), bits.
    """

    pnmi: float
    chance: float
    corrected: Interval | None
    held_out: Interval | None
    phone_purity: float
    cluster_purity: float
    labels: int
    label_entropy: float
    frames: int
    clips: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


def usage(units: Sequence[np.ndarray], size: int, frame_rate: Fraction, seconds: float) -> Usage:
    """Count the units of a corpus.

    Args:
        units: int [T] of each clip.
        size: of the codebook.
        frame_rate: Hz.
        seconds: of audio in all.

    Raises:
        MetricError: no frames, or units outside the codebook.
    """
    joined = np.concatenate(units) if units else np.zeros(0, dtype=np.int64)
    if not joined.size or not seconds > 0:
        raise MetricError("no frames to count: give at least one clip")
    if joined.min() < 0 or joined.max() >= size:
        raise MetricError(f"a unit is outside 0..{size - 1}")
    counts = np.bincount(joined, minlength=size)
    bits, rate = entropy(counts), float(frame_rate)
    runs = [dedup(u) for u in units]
    num_runs = sum(map(len, runs))
    run_bits = entropy(np.bincount(np.concatenate(runs), minlength=size))
    return Usage(
        size=size,
        used=int((counts > 0).sum()),
        perplexity=2.0**bits,
        entropy=bits,
        bitrate=rate * float(np.log2(size)),
        entropy_bitrate=rate * bits,
        token_rate=len(joined) / seconds,
        dedup_rate=num_runs / seconds,
        dedup_entropy_bitrate=num_runs / seconds * run_bits,
        frames=len(joined),
        clips=len(units),
        seconds=seconds,
    )


def phone_scores(
    units: Sequence[np.ndarray], labels: Sequence[np.ndarray], *, resamples: int = 1000, seed: int = 0
) -> PhoneScores:
    """Compare the units of each clip with its labels.

    Args:
        units: int [T] of each clip.
        labels: int [T] of each clip, -1 where a frame has none.
        resamples: of the bootstrap over clips.
        seed: of the shuffles, the folds and the bootstrap.

    Raises:
        MetricError: no labelled frames, or only one label.
    """
    kept = [(u[y >= 0], y[y >= 0]) for u, y in zip(units, labels, strict=True)]
    kept = [(u, y) for u, y in kept if len(u)]
    if not kept:
        raise MetricError("no frame has a label: are the labels those of this corpus?")
    z, y = (np.concatenate(x) for x in zip(*kept, strict=True))
    clip = np.repeat(np.arange(len(kept)), [len(u) for u, _ in kept])
    table = contingency(z, y)
    bits = entropy(table.sum(0))
    chance = chance_pnmi(z, y, seed)  # of one label only, this raises
    # One row for each unit and label of a clip instead of each frame: the bootstrap's time does not grow with hours.
    cells, times = np.unique(np.stack([clip, z, y]), axis=1, return_counts=True)

    def weighted(weights: np.ndarray) -> float:
        drawn = contingency(cells[1], cells[2], weights[cells[0]] * times)
        return pnmi(drawn) if (drawn.sum(0) > 0).sum() > 1 else math.nan

    raw = bootstrap_clips(weighted, len(kept), resamples=resamples, seed=seed)
    return PhoneScores(
        pnmi=raw.mean,
        chance=chance,
        corrected=_corrected(raw, chance),
        held_out=_held_out(z, y, clip, bits, resamples, seed) if len(kept) > 1 else None,
        phone_purity=phone_purity(table),
        cluster_purity=cluster_purity(table),
        labels=int((table.sum(0) > 0).sum()),
        label_entropy=bits,
        frames=len(z),
        clips=len(kept),
    )


def _corrected(raw: Interval, chance: float) -> Interval | None:
    """The bootstrap's interval, its width kept and its middle on the corrected value.

    A draw repeats clips, which adds to PNMI what chance does; chance being taken off already, only the spread counts.
    """
    if 1 - chance < 1e-9:  # as many units as frames: shuffled ones tell everything as well
        return None
    value = (raw.mean - chance) / (1 - chance)
    if raw.half_width is None:
        return Interval(value, None, None, raw.n)
    half = raw.half_width / (1 - chance)
    return Interval(value, value - half, value + half, raw.n)


def _held_out(z: np.ndarray, y: np.ndarray, clip: np.ndarray, bits: float, resamples: int, seed: int) -> Interval:
    """Mean information of the frames over H(phone); whole clips are drawn into folds, and by the bootstrap."""
    num_clips = int(clip.max()) + 1
    folds = np.random.default_rng(seed).permutation(num_clips) % min(FOLDS, num_clips)
    found = held_out_information(z, y, folds[clip])
    sums, sizes = np.bincount(clip, found, num_clips), np.bincount(clip, minlength=num_clips)
    return bootstrap_clips(lambda w: float(w @ sums / (w @ sizes)) / bits, num_clips, resamples=resamples, seed=seed)

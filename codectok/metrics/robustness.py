"""Robustness: how many units change when something changes that no listener would write down differently.

Two figures for each disturbance, over all clips together:

* the share of frames with another unit, frame by frame; where the speed was changed, a frame of the disturbed clip is
  compared with the frame of the original that its middle comes from;
* the unit edit distance of Gat et al. 2023: insertions, deletions and substitutions between the deduplicated units of
  both, over the number of deduplicated units of the original. It does not mind boundaries that move.

Noise is white, at a ratio to the clip's own power; its draws are seeded, and depend on the clip's place in the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from codectok.audio.samples import resample
from codectok.metrics.registry import MetricError
from codectok.tokenizer import Tokenizer

Clip = tuple[np.ndarray, int]
"""float [S] and its rate in Hz."""


@dataclass(frozen=True)
class Disturbance:
    """Something done to a clip.

    Attributes:
        name: how it is called in tables.
        apply: (float32 [S], rate in Hz, generator) -> float32 [S'] at that rate.
        speed: how much faster the result is.
    """

    name: str
    apply: Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
    speed: Fraction = Fraction(1)


@dataclass(frozen=True)
class Change:
    """How much one disturbance changed one codebook's units.

    Attributes:
        changed: share of frames with another unit.
        edit_distance: edits over deduplicated units; may be above 1.
        frames: compared.
        clips: compared.
    """

    changed: float
    edit_distance: float
    frames: int
    clips: int


def noise(decibel: float) -> Disturbance:
    """White noise at this signal-to-noise ratio over the whole clip."""

    def apply(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
        power = float(np.mean(np.square(samples, dtype=np.float64)))
        drawn = rng.standard_normal(len(samples)).astype(np.float32)
        return samples + drawn * np.float32((power / 10 ** (decibel / 10)) ** 0.5)

    return Disturbance(f"noise {decibel:g} dB", apply)


def gain(decibel: float) -> Disturbance:
    """Louder or softer, without clipping."""
    return Disturbance(f"gain {decibel:+g} dB", lambda samples, rate, rng: samples * np.float32(10 ** (decibel / 20)))


def speed(factor: Fraction) -> Disturbance:
    """Faster or slower playback, pitch and all, by a factor that makes a whole number of Hz of the rate."""

    def apply(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
        played = factor * rate
        if played.denominator != 1:
            raise MetricError(f"speed {float(factor):g} makes {float(played):g} Hz of {rate}: not a whole number")
        return resample(samples, int(played), rate)

    return Disturbance(f"speed {float(factor):g}", apply, factor)


def resampling(hz: int) -> Disturbance:
    """Down to ``hz`` and back, as by a telephone."""
    return Disturbance(
        f"through {hz / 1000:g} kHz",
        lambda samples, rate, rng: resample(resample(samples, rate, hz), hz, rate)[: len(samples)],
    )


DISTURBANCES = (
    noise(20),
    noise(10),
    gain(6),
    gain(-12),
    speed(Fraction(9, 10)),
    speed(Fraction(11, 10)),
    resampling(8000),
)
"""Those of ``codectok units score``."""


def same_frames(num_frames: int, original_frames: int, factor: Fraction) -> np.ndarray:
    """The frame of the original that the middle of each frame of a clip ``factor`` as fast comes from, int64 [T'].

    ``floor((t + 1/2) * factor)``, exact, and the last frame for what lies behind it.
    """
    t = np.arange(num_frames, dtype=np.int64)
    return np.minimum((2 * t + 1) * factor.numerator // (2 * factor.denominator), original_frames - 1)


def edits(first: np.ndarray, second: np.ndarray) -> int:
    """Levenshtein distance of two sequences of integers."""
    row = np.arange(len(second) + 1)
    steps = np.arange(len(second) + 1)
    for i, unit in enumerate(first, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (second != unit))
        # Insertions one after the other, all at once: min over j' <= j of best[j'] + (j - j').
        row = np.minimum.accumulate(np.concatenate([[i], best]) - steps) + steps
    return int(row[-1])


def dedup(units: np.ndarray) -> np.ndarray:
    """Runs of equal units as one unit each."""
    return units[np.concatenate([[True], units[1:] != units[:-1]])] if len(units) else units


def robustness(
    tokenizer: Tokenizer,
    clips: Sequence[Clip],
    disturbances: Sequence[Disturbance] = DISTURBANCES,
    *,
    num_codebooks: int = 1,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, list[Change]]:
    """What each disturbance changes, by name: one :class:`Change` a codebook.

    Args:
        tokenizer: any.
        clips: float [S] with its rate, each.
        disturbances: what to do to them.
        num_codebooks: compare the first so many.
        seed: of the noise.
        progress: called after each clip.

    Raises:
        MetricError: no clips, or a speed that a clip's rate cannot be changed by.
        CodectokError: as ``tokenizer.encode``.
    """
    if not clips:
        raise MetricError("robustness needs at least one clip")
    counts = {d.name: np.zeros((num_codebooks, 4), dtype=np.int64) for d in disturbances}
    for number, (audio, rate) in enumerate(clips):
        samples = np.asarray(audio, dtype=np.float32)
        original = tokenizer.encode(samples, rate, num_codebooks=num_codebooks).codes.numpy()
        for which, disturbance in enumerate(disturbances):
            rng = np.random.default_rng([seed, number, which])
            disturbed = disturbance.apply(samples, rate, rng)
            found = tokenizer.encode(disturbed, rate, num_codebooks=num_codebooks).codes.numpy()
            at = same_frames(found.shape[1], original.shape[1], disturbance.speed)
            for k in range(num_codebooks):
                before, after = dedup(original[k]), dedup(found[k])
                changed = int((found[k] != original[k][at]).sum())
                counts[disturbance.name][k] += (changed, found.shape[1], edits(before, after), len(before))
        progress()
    return {
        name: [Change(int(c) / int(t), int(e) / int(n), int(t), len(clips)) for c, t, e, n in rows]
        for name, rows in counts.items()
    }

"""Units against the spectrogram: runs of equal units as segments, with the phones above them where they are known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from codectok.extras import need
from codectok.inspect.pictures import spectrogram
from codectok.inspect.png import palette
from codectok.metrics.segments import Segment
from codectok.tokens import Tokens

_INCHES_A_SECOND = 5.0
_MAX_INCHES = 40.0
_INCHES_A_LETTER = 0.055
"""Of the labels: a segment that has no room for its own is left without."""
_QUIETEST_DB = -30.0
"""Below full scale: a clip that is quieter still is dark."""
_GOLDEN = 0.61803398875


def unit_colour(unit: int, lightness: float = 0.72) -> tuple[float, float, float]:
    """A colour for a unit, red, green and blue from 0 to 1: neighbours in number are far apart in hue."""
    import colorsys

    return colorsys.hls_to_rgb((unit * _GOLDEN) % 1.0, lightness, 0.55)


def runs(units: np.ndarray, frame_rate: float) -> list[tuple[int, float, float]]:
    """Runs of equal units [T]: (unit, start, end), in seconds."""
    if not len(units):
        return []
    starts = np.flatnonzero(np.concatenate([[True], units[1:] != units[:-1]]))
    ends = np.append(starts[1:], len(units))
    return [
        (int(units[a]), a / frame_rate, b / frame_rate) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def draw_units(
    path: str | os.PathLike[str],
    samples: np.ndarray,
    rate: int,
    tokens: Tokens,
    phones: Sequence[Segment] | None = None,
    *,
    title: str = "",
    start: float = 0.0,
) -> None:
    """Write a picture of one clip: phones, spectrogram with the borders of the units, units of the first codebook.

    Args:
        path: a name that matplotlib can write, such as .png or .pdf.
        samples: float [S].
        rate: Hz.
        tokens: of these samples.
        phones: labels in time.
        title: above the picture.
        start: of the span that frame 0 stands for, in seconds; negative where it begins before the clip.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    figure_of = _matplotlib()
    seconds = len(samples) / rate
    counted = runs(tokens.expand().codes[0].numpy(), float(tokens.frame_rate))
    found = [(unit, start + a, start + b) for unit, a, b in counted]
    heights = [0.22] * bool(phones) + [2.4, 0.45]
    width = min(max(6.0, _INCHES_A_SECOND * seconds), _MAX_INCHES)
    figure = figure_of(figsize=(width, sum(heights) + 0.9), dpi=110, layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    room = _INCHES_A_LETTER * seconds / (width - 0.7)
    if phones:
        _strip(axes[0], [(s.label, s.onset, s.offset, "#e8e4dc") for s in phones], "phones", room)
    _spectrogram(axes[-2], samples, rate, seconds, [start for _, start, _ in found[1:]])
    _strip(axes[-1], [(str(u), a, b, unit_colour(u)) for u, a, b in found], "units", room)
    axes[-1].set_xlabel("seconds")
    axes[-1].set_xlim(0, seconds)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path)


def _matplotlib() -> Any:
    """A figure class that draws without a screen."""
    need("pictures of units need", "bench", "matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def make(**options: Any) -> Any:
        figure = Figure(**options)
        FigureCanvasAgg(figure)
        return figure

    return make


def _spectrogram(axis: Any, samples: np.ndarray, rate: int, seconds: float, borders: Sequence[float]) -> None:
    from matplotlib.colors import ListedColormap

    top = min(rate / 2, 8000.0)
    mel = spectrogram(samples, rate, top)
    loudest = max(float(mel.max()), _QUIETEST_DB)
    axis.imshow(
        mel.T, origin="lower", aspect="auto", extent=(0, seconds, 0, len(mel.T)), vmin=loudest - 70, vmax=loudest,
        cmap=ListedColormap(palette("magma") / 255.0), interpolation="nearest",
    )  # fmt: skip
    from codectok.inspect.pictures import band_position

    ticks = [hz for hz in (0, 500, 1000, 2000, 4000, 8000) if hz <= top]
    axis.set_yticks(
        [band_position(hz, top) * len(mel.T) for hz in ticks], [f"{hz / 1000:g}" for hz in ticks], fontsize=7
    )
    axis.set_ylabel("kHz", fontsize=8)
    axis.vlines(borders, 0, len(mel.T), colors="white", linewidth=0.5, alpha=0.45)


def _strip(axis: Any, segments: Sequence[tuple[str, float, float, Any]], name: str, letter: float) -> None:
    """Boxes with their labels where there is room; ``letter`` is as wide as this many seconds."""
    axis.bar(
        [a for _, a, _, _ in segments], 1.0, [b - a for _, a, b, _ in segments], align="edge",
        color=[c for *_, c in segments], edgecolor="white", linewidth=0.4,
    )  # fmt: skip
    for label, start, end, _ in segments:
        if end - start >= (len(label) + 0.5) * letter:
            axis.text((start + end) / 2, 0.5, label, ha="center", va="center", fontsize=6, clip_on=True)
    axis.set_ylim(0, 1)
    axis.set_yticks([])
    axis.tick_params(labelsize=8)
    axis.set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")

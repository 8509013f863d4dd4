"""The picture: a panel a metric, bitrate on a logarithmic axis, a line a tokenizer or coder.

PESQ and STOI cannot hear level: it has panels of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from codectok.files.atomic import atomic_path
from codectok.metrics import get_metric

PANELS = (
    ("pesq", "PESQ-WB"),
    ("stoi", "STOI"),
    ("level", "level over the original's, dB"),
    ("loud_frames", "frames over 6 dB too loud in an octave, %"),
)
TICKS = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128)
TOKENIZER_COLOURS = ("#c1272d", "#0b6e99", "#7a3e9d", "#2e7d32")
CODER_COLOURS = ("#333333", "#b5651d", "#8a9a1d", "#6b7f95")
MARKERS = ("s", "^", "D", "v")


def draw(rows: Sequence[dict[str, Any]], tokenizers: Sequence[str], title: str, path: Path) -> None:
    """Write the rows of ``points`` as one PNG; ``tokenizers`` are the names among them to bring out.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2).ravel()
    names = list(dict.fromkeys(row["name"] for row in rows))
    coders = [name for name in names if name not in tokenizers]
    for axes, (metric, label) in zip(panels, PANELS, strict=True):
        for name in [*coders, *(n for n in names if n in tokenizers)]:
            ours = name in tokenizers
            index = list(tokenizers).index(name) if ours else coders.index(name)
            _line(axes, [row for row in rows if row["name"] == name and row[metric]], metric, name, ours, index)
        bound = get_metric(metric).bound
        if isfinite(bound):
            axes.axhspan(-bound if get_metric(metric).signed else 0, bound, color="#2e7d32", alpha=0.12, linewidth=0)
        axes.set_title(label, loc="left", fontweight="bold")
        _bitrate_axis(axes, [row["kbit/s"] for row in rows])
        axes.grid(color="#e4e4e4", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i] not in tokenizers)
    panels[1].legend([handles[i] for i in order], [labels[i] for i in order], loc="lower right", frameon=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color="#555555")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def _line(axes: Any, rows: Sequence[dict[str, Any]], metric: str, name: str, ours: bool, index: int) -> None:
    if not rows:
        return
    points = sorted((row["kbit/s"], *row[metric][:3]) for row in rows)
    x, y, low, high = zip(*points, strict=True)
    # One clip has no interval.
    below = [0.0 if lo is None else mean - lo for mean, lo in zip(y, low, strict=True)]
    above = [0.0 if hi is None else hi - mean for mean, hi in zip(y, high, strict=True)]
    colours = TOKENIZER_COLOURS if ours else CODER_COLOURS
    look: dict[str, Any] = {
        "color": colours[index % len(colours)],
        "marker": "o" if ours else MARKERS[index % len(MARKERS)],
        "linestyle": "-" if ours else "--",
        "linewidth": 2.2 if ours else 1.1,
        "markersize": 6 if ours else 5,
        "zorder": 3 if ours else 2,
    }
    for row in () if ours else rows:
        place = {"xytext": (4, -9), "textcoords": "offset points", "fontsize": 6, "color": look["color"]}
        axes.annotate(row["setting"], (row["kbit/s"], row[metric][0]), **place)
    axes.errorbar(x, y, yerr=[below, above], capsize=2.5, elinewidth=1, label=name, **look)


def _bitrate_axis(axes: Any, bitrates: Sequence[float]) -> None:
    axes.set_xscale("log")
    low, high = min(bitrates) / 1.25, max(bitrates) * 1.25
    axes.set_xlim(low, high)
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("kbit/s")

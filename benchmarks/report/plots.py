"""Plots as SVG that goes into the page: its text and axes take the page's colours, light or dark."""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .aggregate import Figure
from .book import Book, Column
from .gaps import Gap
from .items import metric_of
from .systems import CEILING, CONTINUOUS, FLOOR, QUANTIZED
from .table import metric_head

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = ("#3d7fd9", "#d9652b", "#2f9e6e", "#b04fc0", "#c2902b", "#d0487a", "#3aa3b5", "#8f6b4a")
"""Of middle lightness: they stand out from a white and from a black page."""
GREY = "#8d8984"
_MARKERS = "osD^vPXp"
_PAGE = {"#010203": "var(--ink)", "#040506": "var(--soft)", "#070809": "var(--line)"}
_INK, _SOFT, _LINE = _PAGE
_WIDTH = 4.4


def families(book: Book) -> dict[str, tuple[str, str]]:
    """{tokenizer or coder: its colour and marker}, the same in every plot."""
    figures = (f for key in book.keys for c in book.columns[key] for f in c.figures if f.mean is not None)
    names = dict.fromkeys(f.group.system.family for f in figures if f.group.system.group not in (CEILING, FLOOR))
    return {n: (PALETTE[i % len(PALETTE)], _MARKERS[i % len(_MARKERS)]) for i, n in enumerate(names)}


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def has_rates(column: Column) -> bool:
    """Whether there is something to plot against kbit/s: codes at two rates or more."""
    return len({round(f.group.system.bitrate or 0.0, 3) for f in _points(column)}) > 1


def _points(column: Column) -> list[Figure]:
    return [f for f in column.figures if f.mean is not None and f.group.system.codes and f.group.system.bitrate]


def rate_plot(column: Column, colours: dict[str, tuple[str, str]], measured: Mapping[str, float]) -> str:
    """A metric against kbit/s: a line a tokenizer, dashed ones for what has no rate, a band where guesses lie.

    Args:
        column: with rates (see :func:`has_rates`).
        colours: of :func:`families`.
        measured: {label: kbit/s as used}, for coders whose rate is not what was asked for.
    """
    fig, ax = _axes(2.9)

    def rate(f: Figure) -> float:
        return measured.get(f.group.system.label) or f.group.system.bitrate or 0.0

    chance = next((f.chance for f in column.figures if f.chance), None)
    if chance:
        ax.axhspan(*chance, color=GREY, alpha=0.18, lw=0)
    for name, (colour, marker) in colours.items():
        many = sorted((f for f in _points(column) if f.group.system.family == name), key=rate)
        if many:
            x, y = [rate(f) for f in many], [f.mean or 0.0 for f in many]
            ax.errorbar(x, y, yerr=_bars(many), color=colour, marker=marker, ms=5, lw=1.6, capsize=2, elinewidth=1)
    for f in column.figures:
        system = f.group.system
        if f.mean is None or system.floor:
            continue
        if system.group in (CONTINUOUS, CEILING):
            colour = colours[system.family][0] if system.family in colours else _SOFT
            ax.axhline(f.mean, color=colour, lw=1.1, ls=(0, (4, 3)) if system.group == CONTINUOUS else (0, (1, 2)))
        elif system.bitrate and system.group == FLOOR:
            ax.plot([system.bitrate], [f.mean], "x", color=GREY, ms=6, mew=1.6)
        elif system.bitrate and system.group == QUANTIZED:
            ax.plot([system.bitrate], [f.mean], marker="o", mfc="none", color=colours[system.family][0], ms=6, lw=0)
    rates = [rate(f) for f in _points(column)]
    ax.set_xscale("log")
    _rate_ticks(ax, min(rates), max(rates))
    ax.set_xlabel("kbit/s")
    ax.set_ylabel(metric_head(column.metric))
    return _svg(fig, f"rate {column.key} {column.metric} {column.test}")


def gap_plot(gaps: Sequence[Gap], colours: dict[str, tuple[str, str]]) -> str:
    """Codes minus features of one column; to the right of the line the codes are better."""
    fig, ax = _axes(0.75 + 0.3 * len(gaps))
    ax.axvline(0, color=_SOFT, lw=1)
    for y, gap in enumerate(gaps):
        colour, marker = colours[gap.codes.group.system.family]
        half = 0.0 if gap.low is None or gap.high is None else (gap.high - gap.low) / 2
        inside = "none" if gap.codes.group.system.group == QUANTIZED else colour
        ax.errorbar([_gain(gap)], [y], xerr=[half], color=colour, marker=marker, ms=6, lw=0, elinewidth=1.4,
                    capsize=3, mfc=inside)  # fmt: skip
    ax.set_yticks(range(len(gaps)), [gap.codes.group.system.label for gap in gaps])
    ax.set_ylim(len(gaps) - 0.4, -0.6)
    widest = max(abs(v) for v in ax.get_xlim())
    ax.set_xlim(-widest, widest)
    ax.set_xlabel("← features better · codes better →", size=8)
    return _svg(fig, f"gap {gaps[0].column.key} {gaps[0].column.metric} {gaps[0].column.test}")


def _gain(gap: Gap) -> float:
    """How much better the codes are; of a signed metric, how much nearer to 0."""
    metric = metric_of(gap.column.metric)
    if metric.signed:
        return metric.goodness(gap.codes.mean or 0.0) - metric.goodness(gap.features.mean or 0.0)
    return metric.goodness(gap.mean)


def _bars(figures: Sequence[Figure]) -> list[list[float]]:
    low = [(f.mean or 0.0) - f.low if f.low is not None else 0.0 for f in figures]
    high = [f.high - (f.mean or 0.0) if f.high is not None else 0.0 for f in figures]
    return [[max(v, 0.0) for v in low], [max(v, 0.0) for v in high]]


def _rate_ticks(ax: Axes, low: float, high: float) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low / 1.6 <= t <= high * 1.6]
    ax.set_xlim(low / 1.35, high * 1.35)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])


def _axes(height: float) -> tuple[Any, Axes]:
    from matplotlib.figure import Figure as Canvas

    fig = Canvas(figsize=(_WIDTH, height), layout="constrained")
    ax = fig.add_subplot()
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(_LINE)
    ax.tick_params(colors=_SOFT, labelcolor=_INK, labelsize=9)
    ax.xaxis.label.set(color=_SOFT, size=9)
    ax.yaxis.label.set(color=_SOFT, size=9)
    ax.grid(color=_LINE, lw=0.6)
    ax.set_axisbelow(True)
    return fig, ax


def _svg(fig: Any, salt: str) -> str:
    """The figure as an element: no header, no date, ids that no other plot of the page has."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        fig.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    prefix = re.sub(r"\W+", "-", salt)
    text = re.sub(r'id="', f'id="{prefix}-', text)
    text = re.sub(r'(href="|url\()#', rf"\g<1>#{prefix}-", text)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font: \1px inherit; font-family: inherit", text)
    for colour, name in _PAGE.items():
        text = text.replace(colour, name)
    return re.sub(r"\n+", "\n", text)

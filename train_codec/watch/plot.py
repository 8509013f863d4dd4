"""A run's curves as one PNG: losses, scores and levels per bitrate, use of the codebooks, rates and gradients."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codectok.extras import need
from codectok.files.atomic import atomic_path
from codectok.metrics import get_metric
from codectok.metrics.level import OCTAVE_METRICS
from train_codec.watch.log import Log, read_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ADVERSARIAL = re.compile(r"(adv|disc|d_|g_|gen|fake|real|feat).*|feature_matching")
"""Terms of adversarial training: they hover and may be negative, so they get a linear panel of their own."""
COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#9498a0")
SCORES = (
    ("pesq", "PESQ-WB, MOS (higher is better)"),
    ("stoi", "STOI (higher is better)"),
    ("mel", "mel distance, dB (lower)"),
    ("lsd", "log-spectral distance, dB (lower)"),
    ("level", "level over the original's, dB (0)"),
    ("loud_frames", "frames over 6 dB too loud in an octave, % (lower)"),
    ("excess_99", "frame excess, 99 % quantile, dB (0)"),
    ("clipped", "clipped samples, % (lower)"),
)
"""What no score should pass (``Metric.bound``) is outside the green band."""
_SMOOTH = 60
"""A curve with more points than this is drawn faintly, with a moving average over it."""

Panel = Callable[["Axes"], None]


def plot(run: Path, out: Path | None = None) -> Path:
    """Draw ``log.jsonl`` of a run folder; what the log doesn't have is left out.

    Args:
        run: the run folder.
        out: the PNG; default ``curves.png`` in the run folder.

    Raises:
        FormatError: no log, or an empty one.
        MissingPackageError: matplotlib is not installed.
    """
    need("plots of runs need", "train", "matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    log = read_log(run)
    panels = _panels(log)
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(
        figsize=(6.4 * columns, 3.9 * rows + 0.5),
        dpi=110,
        layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08),
        facecolor="white",
    )
    FigureCanvasAgg(figure)
    last = max(row["step"] for row in [*log.train, *log.val])
    name = (run if run.is_dir() else run.parent).resolve().name
    figure.suptitle(f"{name}, {last:,} steps", fontsize=14, fontweight="bold", x=0.01, ha="left")
    # A subfigure each: in one grid the widest legend of a column would narrow every panel of it.
    places = figure.subfigures(rows, columns, squeeze=False).ravel()
    for place, panel in zip(places, panels, strict=False):
        axes = place.subplots()
        panel(axes)
        axes.set_xlim(0, max(1, last))
        axes.set_xlabel("step")
        axes.xaxis.set_major_formatter(lambda step, _: f"{step / 1000:g}k" if step and last >= 5000 else f"{step:g}")
    target = out or (run if run.is_dir() else run.parent) / "curves.png"
    with atomic_path(target) as path:
        figure.savefig(path, format="png")
    return target


def _panels(log: Log) -> list[Panel]:
    terms = log.losses()
    adversarial = [t for t in terms if ADVERSARIAL.fullmatch(t) or (log.column(t)[1] < 0).any()]
    spectral = [t for t in terms if t not in adversarial]
    panels: list[Panel] = []
    if spectral:
        panels.append(lambda ax: _lines(ax, log, spectral, "losses", log_scale=True))
    if adversarial:
        panels.append(lambda ax: _lines(ax, log, adversarial, "adversarial terms"))
    for metric, title in SCORES:
        if _depths(log, metric):
            panels.append(lambda ax, metric=metric, title=title: _scores(ax, log, metric, title))  # type: ignore[misc]
    for depth in _depths(log, OCTAVE_METRICS[0]):
        panels.append(lambda ax, depth=depth: _octaves(ax, log, depth))  # type: ignore[misc]
    if log.health("used")[1].size:
        panels.append(lambda ax: _heat(ax, *log.health("used"), "codes used, share of the codebook", (0.0, 1.0)))
    if log.health("perplexity")[1].size:
        panels.append(lambda ax: _heat(ax, *log.health("perplexity"), "perplexity of the codes", None))
    rates = [n for n in ("learning_rate", "lr") if len(log.column(n)[0])][:1]
    rates += [n for n in dict.fromkeys(k for r in log.train for k in r) if n.startswith("lr_")]
    norms = [n for n in dict.fromkeys(k for r in log.train for k in r) if n.startswith("grad")]
    if rates or norms:
        panels.append(lambda ax: _rates(ax, log, rates, norms))
    if not panels:
        panels.append(lambda ax: _style(ax, "nothing to draw yet"))
    return panels


def _style(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)


def _log_axis(axes: Axes) -> None:
    """Logarithmic, with plain figures at 1, 2 and 5."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(10, (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _curve(axes: Axes, x: np.ndarray, y: np.ndarray, **style: Any) -> None:
    """A line; of many points, a faint one with its moving average."""
    label = style.pop("label", None)
    keep = np.isfinite(y)
    x, y = x[keep], y[keep]
    if len(x) > _SMOOTH:
        axes.plot(x, y, alpha=0.25, linewidth=0.8, **style)
        width = 2 * (len(x) // 60) + 1
        padded = np.pad(y, width // 2, mode="edge")
        y = np.convolve(padded, np.full(width, 1 / width), mode="valid")
    axes.plot(x, y, label=label, linewidth=1.7, marker="o" if len(x) < 3 else None, markersize=4, **style)


def _lines(axes: Axes, log: Log, names: Sequence[str], title: str, log_scale: bool = False) -> None:
    for i, name in enumerate(names):
        x, y = log.column(name)
        if log_scale:
            x, y = x[y > 0], y[y > 0]
        if len(x):
            dashes = "-" if i < len(COLOURS) else "--"
            last = f"{name}  {y[-1]:.3g}"
            _curve(axes, x, y, label=last, color=COLOURS[i % len(COLOURS)], linestyle=dashes)
    if log_scale:
        _log_axis(axes)
    _style(axes, title)
    # Outside, so that it never hides a curve, however many terms there are.
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2)


def _depths(log: Log, metric: str) -> list[int]:
    """Numbers of codebooks that a score was logged for."""
    names = {k for row in log.val for k in row["val"] if re.fullmatch(rf"{metric}_\d+", k)}
    return sorted(int(name.rpartition("_")[2]) for name in names)


def _rate(log: Log, depth: int) -> str:
    _, kbps = log.score(f"kbps_{depth}")
    return f"{kbps[-1]:g} kbit/s" if len(kbps) else f"{depth} codebooks"


def _scores(axes: Axes, log: Log, metric: str, title: str) -> None:
    _bound(axes, metric)
    for i, depth in enumerate(_depths(log, metric)):
        _score(axes, *log.score(f"{metric}_{depth}"), _rate(log, depth), COLOURS[i % len(COLOURS)])
    _style(axes, title)
    axes.legend(fontsize=8, frameon=False)


def _octaves(axes: Axes, log: Log, depth: int) -> None:
    """Levels of all octaves at one bitrate."""
    _bound(axes, OCTAVE_METRICS[0])
    for i, name in enumerate(OCTAVE_METRICS):
        _score(axes, *log.score(f"{name}_{depth}"), get_metric(name).label, COLOURS[i % len(COLOURS)])
    _style(axes, f"octaves at {_rate(log, depth)}, level over the original's, dB (0)")
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.04, 1.02), borderaxespad=0.2)


def _score(axes: Axes, x: np.ndarray, y: np.ndarray, label: str, colour: str) -> None:
    if len(x):
        axes.plot(x, y, color=colour, linewidth=1.7, marker="o", markersize=3.5, label=label)
        axes.annotate(f"{y[-1]:.3g}", (x[-1], y[-1]), (4, 3), textcoords="offset points", color=colour, fontsize=9)


def _bound(axes: Axes, name: str) -> None:
    """Where a watched metric should stay."""
    metric = get_metric(name)
    if np.isfinite(metric.bound):
        axes.axhspan(-metric.bound if metric.signed else 0.0, metric.bound, color="#3ca951", alpha=0.13, linewidth=0)


def _heat(axes: Axes, steps: np.ndarray, table: np.ndarray, title: str, bounds: tuple[float, float] | None) -> None:
    """Levels upwards from the first, steps to the right."""
    edges = np.concatenate([[max(0.0, 2 * steps[0] - steps[1]) if len(steps) > 1 else 0.0], steps])
    low, high = bounds or (0.0, float(np.nanmax(table, initial=1.0)))
    mesh = axes.pcolormesh(
        edges, np.arange(table.shape[1] + 1) - 0.5, table.T, cmap="viridis", vmin=low, vmax=high, rasterized=True
    )
    axes.figure.colorbar(mesh, ax=axes, pad=0.01, fraction=0.05)
    _style(axes, title)
    axes.grid(False)
    axes.set_ylabel("codebook")
    axes.locator_params(axis="y", integer=True)


def _rates(axes: Axes, log: Log, rates: Sequence[str], norms: Sequence[str]) -> None:
    for i, name in enumerate(rates):
        axes.plot(*log.column(name), color=COLOURS[0], linestyle=("-", "--", ":")[i % 3], linewidth=1.7, label=name)
    title = " and ".join(t for t, there in (("learning rate", rates), ("gradient norm", norms)) if there)
    _style(axes, title)
    other = axes
    if rates and norms:
        axes.set_ylabel("learning rate", color=COLOURS[0])
        axes.ticklabel_format(axis="y", scilimits=(-3, 3))
        axes.set_ylim(bottom=0)
        other = axes.twinx()
        other.spines["top"].set_visible(False)
        other.set_ylabel("gradient norm")
    for i, name in enumerate(norms):
        x, y = log.column(name)
        _curve(other, x[y > 0], y[y > 0], color=COLOURS[(i + 2) % len(COLOURS)], label=name)
    if norms:
        _log_axis(other)
    handles = [
        *axes.get_legend_handles_labels()[0],
        *(other.get_legend_handles_labels()[0] if other is not axes else []),
    ]
    axes.legend(handles=handles, fontsize=8, frameon=False, loc="best")

"""k-means against scikit-learn's, and assignment against the bare matrix product, in one run on one thread.

``python -m benchmarks.speed kmeans`` (``--quick`` for a minute's look, ``--json FILE`` to keep the figures)

The peer is MiniBatchKMeans with the settings of fairseq's ``learn_kmeans.py``. s is seconds of processor time, which a
busy machine changes less than the clock's; inertia is the mean squared distance of held-out frames to their centroid.
Frames are drawn from a mixture of many overlapping gaussians with a decaying spectrum, or given with ``--features``.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from codectok.cli.console import print_table
from codectok.units.kmeans.unit_stream import UnitStream
from kmeans_units.kmeans import KMeansOptions, assign, fit_kmeans

from .turns import json_option, keep

HELD_OUT = 20000
PARTS = 3000
ASSIGNED = 16384
REPEATS = 15


def mixture(frames: int, dim: int, seed: int = 0) -> np.ndarray:
    """float32 [frames, dim]: gaussians of unequal weight and width whose means are as far apart as they are wide."""
    rng = np.random.default_rng(seed)
    spectrum = (np.arange(dim) + 1.0) ** -0.5
    spectrum = (spectrum / np.sqrt(np.square(spectrum).mean())).astype(np.float32)
    means = rng.standard_normal((PARTS, dim), dtype=np.float32) * spectrum
    widths = rng.uniform(0.6, 1.4, PARTS).astype(np.float32)
    part = rng.choice(PARTS, frames, p=rng.dirichlet(np.full(PARTS, 0.5)))
    out = rng.standard_normal((frames, dim), dtype=np.float32)
    out *= spectrum
    out *= widths[part, None]
    out += means[part]
    return out


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, and the result."""
    started = time.process_time()
    result = function()
    return time.process_time() - started, result


def fits(frames: np.ndarray, held: np.ndarray, k: int, backend: str, seeds: int) -> list[dict[str, float]]:
    """Time and held-out inertia of a backend for each seed."""
    found = []
    for seed in range(seeds):
        seconds, fit = timed(functools.partial(fit_kmeans, frames, k, seed=seed, options=KMeansOptions(backend)))
        inertia = float(assign(held, fit.centroids)[1].mean(dtype=np.float64))
        found.append({"seed": seed, "s": seconds, "inertia": inertia, "train": fit.inertia, "dead": fit.dead})
        click.echo(f"  {backend} seed {seed}: {seconds:.1f} s, held-out inertia {inertia:.2f}", err=True)
    return found


def assignment(frames: np.ndarray, k: int) -> dict[str, float]:
    """Frames a second of ``UnitStream.encode``, of the bare product ``x @ centroids.T``, and the median ratio.

    The bare product gets blocks and a reused buffer as well, which make it faster than a single call.
    """
    from codectok.units.kmeans.stream import BLOCK

    x = torch.from_numpy(frames[:ASSIGNED])
    centroids = torch.from_numpy(frames[ASSIGNED : ASSIGNED + k].copy())
    stream, table = UnitStream(0, [centroids]), centroids.T.contiguous()
    buffer = torch.empty(BLOCK, k)

    def bare() -> None:
        for block in x.split(BLOCK):
            torch.mm(block, table, out=buffer[: len(block)])

    pairs = []
    for _ in range(REPEATS):
        product, ours = timed(bare)[0], timed(lambda: stream.encode(x))[0]
        pairs.append((product, ours))
    rates = [len(x) / statistics.median(p[i] for p in pairs[2:]) for i in (0, 1)]
    share = statistics.median(product / ours for product, ours in pairs[2:])
    return {"bare": rates[0], "encode": rates[1], "share": share}


@click.command(help=__doc__)
@click.option("--frames", default=200000, show_default=True)
@click.option("--dim", default=768, show_default=True)
@click.option("-k", "--clusters", "k", default=500, show_default=True)
@click.option("--seeds", default=5, show_default=True, help="Of the faiss backend.")
@click.option("--peer-seeds", default=1, show_default=True, help="Of scikit-learn, which takes minutes each.")
@click.option("--features", type=click.Path(exists=True, dir_okay=False), help="Frames to use: .npy [N, D].")
@click.option("--quick", is_flag=True, help="20,000 frames of 256 values, k = 100.")
@json_option
def main(
    frames: int,
    dim: int,
    k: int,
    seeds: int,
    peer_seeds: int,
    features: str | None,
    quick: bool,
    json_file: Path | None,
) -> None:
    """See the module."""
    torch.set_num_threads(1)
    if quick:
        frames, dim, k, seeds = 20000, 256, 100, 3
    held_out = HELD_OUT if not quick else 4000
    if features:
        x = np.load(features).astype(np.float32)
        x, held = x[:-held_out][:frames], x[-held_out:]
    else:
        both = mixture(frames + held_out, dim)
        x, held = both[:frames], both[frames:]
    x = np.ascontiguousarray(x)
    speed = assignment(x, k)
    ours, theirs = fits(x, held, k, "faiss", seeds), fits(x, held, k, "sklearn", peer_seeds)

    def middle(found: list[dict[str, float]], key: str) -> float:
        return statistics.median(f[key] for f in found)

    rows = [
        {"backend": name, "s": middle(f, "s"), "held-out inertia": middle(f, "inertia"), "train": middle(f, "train")}
        for name, f in (("faiss", ours), ("sklearn", theirs))
    ]
    ratios = {
        "inertia": middle(ours, "inertia") / middle(theirs, "inertia"),
        "faster": middle(theirs, "s") / middle(ours, "s"),
    }
    print_table(f"{len(x)} x {x.shape[1]} frames, k = {k}, medians of {seeds} and {peer_seeds} seeds, 1 thread", rows)
    click.echo(
        f"  held-out inertia faiss / sklearn {ratios['inertia']:.4f} (bar 1.01), {ratios['faster']:.1f} x as fast"
    )
    click.echo(
        f"  assignment: {speed['encode']:.0f} frames/s, bare product {speed['bare']:.0f}: share {speed['share']:.3f}"
    )
    facts = {"frames": len(x), "dim": x.shape[1], "k": k, "data": features or "mixture"}
    keep({**facts, **ratios, "assignment": speed, "faiss": ours, "sklearn": theirs}, json_file)

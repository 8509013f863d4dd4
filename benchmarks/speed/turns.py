"""What every job of ``benchmarks.speed`` shares: spreads, clocks, and how figures are kept."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from codectok.files.atomic import atomic_path


def spread(values: Sequence[float]) -> str:
    """Median and, in brackets, the least and the greatest."""
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock and of CPU time over all threads, which other programs on the machine disturb less."""
    clock, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - clock, time.process_time() - cpu


def take_turns(calls: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of each repeat by clock and CPU; the calls take turns at being first, after a round unmeasured."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name in sorted(calls, reverse=repeat % 2 == 1):
            found = timed(calls[name])
            if repeat:
                times[name].append(found)
    return times


def ratios(ours: Sequence[tuple[float, float]], theirs: Sequence[tuple[float, float]]) -> dict[str, str]:
    """How many times as fast as theirs ours is, repeat by repeat: by the clock and by CPU time."""
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "ratio": spread([b[0] / a[0] for a, b in pairs]),
        "ratio by CPU time": spread([b[1] / a[1] for a, b in pairs]),
    }


def keep(result: dict[str, Any], json_file: Path | None) -> None:
    """Print the command, and write the figures with it and what they were measured on."""
    import torch

    command = " ".join(["python -m benchmarks.speed", *sys.argv[1:]])
    click.echo(command)
    if json_file is None:
        return
    machine = {"threads": torch.get_num_threads(), "cpus": os.cpu_count()}
    versions = {"python": sys.version.split()[0], "torch": torch.__version__}
    with atomic_path(json_file) as partial:
        partial.write_text(json.dumps({**result, **machine, "versions": versions, "command": command}, indent=2) + "\n")


json_option = click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures to this file."
)

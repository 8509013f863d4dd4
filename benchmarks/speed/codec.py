"""Speed of the neural codecs against transformers' own: the same random weights, the same run, interleaved repeats.

``python -m benchmarks.speed codec`` (``--quick`` for a minute's look, ``--json FILE`` to keep the figures)

x is seconds of audio a second: the median over the repeats and, in brackets, the slowest and the fastest. ratio is the
median of the repeats' own ratios, ours to theirs. MB is what a fresh process needs at its peak beyond the loaded model.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import torch

from codectok.cli.console import print_table
from codectok.processes import in_process

from .codec_cost import multiply_adds, peak_memory, time_stream
from .codec_sides import (
    CODEBOOKS,
    MODELS,
    PACKAGED,
    Sides,
    make_clips,
    our_calls,
    our_tokenizer,
    their_calls,
    write_peers,
)
from .turns import keep, spread

CASES = [(1, 10), (8, 10), (1, 60)]
"""Clips and seconds of each."""


@torch.inference_mode()
def time_case(sides: Sides, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each repeat, by operation and side; the sides take turns, and turns at being first."""
    times: dict[str, dict[str, list[float]]] = {"encode": {}, "decode": {}}
    for repeat in range(repeats + 1):
        for side in sorted(sides, reverse=repeat % 2 == 1):
            for operation, call in zip(times, sides[side], strict=True):
                start = time.perf_counter()
                call()
                # The first round warms up: it fills caches and compiles kernels.
                if repeat:
                    times[operation].setdefault(side, []).append(time.perf_counter() - start)
    return times


def speed_rows(name: str, folder: Path, case: tuple[int, int], repeats: int, memory: bool) -> list[dict[str, Any]]:
    """One row an operation."""
    clips = make_clips(name, *case)
    sides = {"ours": our_calls(name, folder, clips)}
    if name not in PACKAGED:
        sides["theirs"] = their_calls(name, folder, clips)
    audio = case[0] * case[1]
    rows = []
    for operation, times in time_case(sides, repeats).items():
        row: dict[str, Any] = {"model": name, "case": f"{case[0]} x {case[1]} s", "operation": operation}
        for side in ("ours", "theirs"):
            row[f"{side} x"] = spread([audio / t for t in times[side]]) if side in times else ""
        row["ratio"] = ""
        if "theirs" in times:
            row["ratio"] = spread([b / a for a, b in zip(times["ours"], times["theirs"], strict=True)])
        for side in ("ours", "theirs") if memory else ():
            row[f"{side} MB"] = ""
            if side in times:
                arguments = (name, side, str(folder), case, operation == "decode", torch.get_num_threads())
                peak = in_process(_peak_memory, arguments)
                row[f"{side} MB"] = "" if peak is None else f"{peak:.0f}"
        rows.append(row)
    return rows


def _peak_memory(arguments: tuple[Any, ...]) -> float | None:
    return peak_memory(*arguments)


def run(names: list[str], cases: list[tuple[int, int]], repeats: int, memory: bool, stream: float) -> dict[str, Any]:
    """All tables, as lists of rows."""
    speed, work, streams = [], [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_peers(folder, [name for name in names if name not in PACKAGED])
        for name in names:
            for case in cases:
                speed += speed_rows(name, folder, case, repeats, memory)
            tokenizer = our_tokenizer(name, folder)
            encode, decode = multiply_adds(tokenizer)
            parameters = sum(p.numel() for p in tokenizer.model.parameters()) / 1e6
            work.append({"model": name, "M parameters": parameters, "GMAC/s encode": encode, "GMAC/s decode": decode})
            streams.append(time_stream(tokenizer, stream))
    return {"speed": speed, "work": work, "streams": streams}


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="10 s clips only, 2 repeats, no memory.")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--model", "models", multiple=True, type=click.Choice(MODELS), help="Default all.")
@click.option("--threads", type=click.IntRange(min=1), help="Default: torch's own choice.")
@click.option("--memory/--no-memory", default=True, help="Measure peak memory, each figure in a fresh process.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures.")
def main(
    quick: bool, repeats: int, models: tuple[str, ...], threads: int | None, memory: bool, json_file: Path | None
) -> None:
    """See the module."""
    if threads:
        torch.set_num_threads(threads)
    names = list(models or MODELS)
    cases = CASES[:2] if quick else CASES
    result = run(names, cases, 2 if quick else repeats, memory and not quick, 1.0 if quick else 4.0)
    where = f"{torch.get_num_threads()} threads of {os.cpu_count()} CPUs"
    print_table(f"Speed, at most {CODEBOOKS} codebooks, {where}", result["speed"])
    print_table("Work", result["work"])
    print_table("Streaming 80 ms chunks: median (95th percentile)", result["streams"])
    keep(result, json_file)

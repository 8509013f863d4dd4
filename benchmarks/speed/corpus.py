"""``codectok tokenize`` against a straight loop that reads, resamples and encodes one clip after another.

``python -m benchmarks.speed corpus`` (``--corpus`` for one of your own, ``--quick`` for a look)

Both have the same cores: the loop with torch's own threads, tokenize with a process on each. x is seconds of audio a
second, from the first batch to the last, and in all with what it takes to start processes and to end a store; ratio is
ours to the loop's, the median over the repeats and, in brackets, the lowest and the highest. The cores' time used is
that of reading and encoding; the rest is waiting.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import click
import torch

from codectok import load, read_audio
from codectok.cli.console import print_table
from codectok.corpus.pipeline import tokenize_corpus
from codectok.items.clips import seconds_of
from codectok.items.corpus import read_corpus
from codectok.items.item import Item
from codectok.processes import usable_cores
from codectok.tokenizer import Tokenizer

from .turns import json_option, keep

SPEECH = Path(__file__).parents[1] / "speech"
SHORTEST, LONGEST = 2.0, 16.0


def choose(corpus: Path, count: int) -> list[Item]:
    """So many clips of 2 to 16 s, evenly out of a corpus; more than once if it has fewer."""
    items = [i for i in read_corpus(corpus) if i.whole and SHORTEST <= (seconds_of(i) or 0.0) <= LONGEST]
    step = max(1, len(items) // count)
    return list(islice(cycle(items[::step]), count))


def loop(items: Sequence[Item], tokenizer: Tokenizer, cores: int) -> float:
    """Wall seconds of the straight loop."""
    torch.set_num_threads(cores)
    started = time.perf_counter()
    for item in items:
        samples, rate = read_audio(item.path)
        tokenizer.encode(samples, rate)
    return time.perf_counter() - started


def ours(manifest: Path, tokenizer: Tokenizer, cores: int, folder: Path) -> dict[str, Any]:
    """Figures of one run, as ``stats.json`` has them."""
    return tokenize_corpus(read_corpus(manifest), tokenizer, folder / "store", workers=cores, overwrite=True).stats[
        "run"
    ]


def compare(name: str, items: Sequence[Item], cores: int, repeats: int, folder: Path) -> dict[str, Any]:
    """A row of the table."""
    manifest = folder / "manifest.jsonl"
    lines = ({"id": str(i), "path": item.path} for i, item in enumerate(items))
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    tokenizer = load(name)
    audio = sum(seconds_of(item) or 0.0 for item in items)
    loop(items[:3], tokenizer, cores)
    loops, runs = [], []
    for _ in range(repeats):
        loops.append(loop(items, tokenizer, cores))
        runs.append(ours(manifest, tokenizer, cores, folder))
    ratios = [wall / run["span_seconds"] for wall, run in zip(loops, runs, strict=True)]
    return {
        "tokenizer": name,
        "audio s": audio,
        "loop x": audio / statistics.median(loops),
        "tokenize x": audio / statistics.median(run["span_seconds"] for run in runs),
        "in all x": audio / statistics.median(run["wall_seconds"] for run in runs),
        "ratio": f"{statistics.median(ratios):.2f} [{min(ratios):.2f} {max(ratios):.2f}]",
        "read s": statistics.median(run["read_seconds"] for run in runs),
        "encode s": statistics.median(run["encode_seconds"] for run in runs),
        "cores' time used": statistics.median(run["busy_share"] for run in runs),
    }


@click.command(help=__doc__)
@click.option("--tokenizer", "names", multiple=True, default=("speech", "units"), show_default=True)
@click.option("--corpus", type=click.Path(path_type=Path), default=SPEECH, help="Folder or manifest.")
@click.option("--clips", type=click.IntRange(min=1), default=300, show_default=True)
@click.option("--workers", type=click.IntRange(min=1), help="Cores of both sides.  [default: all]")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--quick", is_flag=True, help="100 clips, 1 repeat.")
@json_option
def main(
    names: tuple[str, ...],
    corpus: Path,
    clips: int,
    workers: int | None,
    repeats: int,
    quick: bool,
    json_file: Path | None,
) -> None:
    """See the module."""
    cores = workers or usable_cores()
    if quick:
        clips, repeats = 100, 1
    items = choose(corpus, clips)
    with tempfile.TemporaryDirectory() as folder:
        rows = [compare(name, items, cores, repeats, Path(folder)) for name in names]
    print_table(f"{len(items)} clips, {cores} cores", rows)
    keep({"rows": rows}, json_file)

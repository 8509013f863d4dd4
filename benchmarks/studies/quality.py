"""The quality table of a model card in one go: a tokenizer on listed clips, scored as 16-bit files.

``python -m benchmarks.studies.quality --data SPEECH --splits splits.tsv --use val --codebooks 6 --codebooks 24``

A row is a use of the table of splits and a number of codebooks. Means have 95 % bootstrap intervals over speakers (over
clips where the table names none); level and octaves have their median and what 90 % of the clips are within. Clips are
encoded once and decoded once a number of codebooks. ``--markdown`` prints the table as a model card has it; every run
can be written down: ``--log FILE`` appends one JSON line a use.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import click
import numpy as np

from codectok.cli.console import handle_errors, print_table
from codectok.cli.progress import progress
from codectok.errors import AudioError
from codectok.tokenizer import Tokenizer

from ..split_tables import choose, speakers
from .quality_table import METRICS, cells, markdown


def rows(tokenizer: Tokenizer, paths: list[Path], who: list[str], codebooks: list[int]) -> list[dict[str, Any]]:
    """One row a number of codebooks.

    Args:
        tokenizer: one that decodes.
        paths: of the clips.
        who: speaks each of them.
        codebooks: numbers of codebooks; none is all.

    Raises:
        AudioError: no clips, or clips of several rates.
    """
    from codectok import read_audio
    from codectok.metrics import compute
    from codectok.metrics.reconstruction import score_reconstruction

    clips = [read_audio(p) for p in paths]
    if len({rate for _, rate in clips}) != 1:
        found = sorted({rate for _, rate in clips})
        raise AudioError(f"clips at {found} Hz: scores need one rate" if clips else "no clips: see --use and --splits")
    rate = clips[0][1]
    counts = [tokenizer.choose_codebooks(k, None) for k in codebooks] or [len(tokenizer.codebook_sizes)]
    peaks = [compute(("peak",), clip, clip, rate)[0]["peak"] for clip, _ in clips]
    out = []
    with progress(len(clips), "scoring") as bar:

        def each() -> Any:
            for clip, _ in clips:
                yield clip
                bar.advance()

        scored = score_reconstruction(tokenizer, each(), rate, counts, METRICS)
    for scores in scored:
        row: dict[str, Any] = {"codebooks": scores.num_codebooks, "kbit/s": round(scores.bitrate, 3)}
        row |= {"clips": scores.num_clips, "speakers": len(set(who))}
        for metric in METRICS:
            summary = scores.summary(metric, who)  # None: it failed on every clip, which the count of failures says
            values = () if summary is None else astuple(summary)
            row[metric] = [round(v, 4) if isinstance(v, float) else v for v in values]
        row["peak of originals"] = round(float(np.mean(peaks)), 4)
        row["failed"] = {m: n for m, n in scores.failed.items() if n}
        row["entropy kbit/s"] = round(float(tokenizer.frame_rate) * sum(scores.entropy) / 1000, 3)
        sizes = tokenizer.codebook_sizes
        row["least used share"] = round(min(u / n for u, n in zip(scores.used, sizes, strict=False)), 3)
        out.append(row)
    return out


@click.command(help=__doc__)
@click.option("--tokenizer", "name", default="speech", show_default=True, help="Name or folder.")
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path), help="Folder of the audio.")
@click.option(
    "--splits", required=True, type=click.Path(exists=True, path_type=Path), help="Table: path, use, speaker."
)
@click.option("--use", "uses", multiple=True, default=("val",), show_default=True, help="Which clips of the table.")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Take every Nth of them.")
@click.option("--codebooks", multiple=True, type=click.IntRange(min=1), help="Numbers of codebooks; default all.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table as a model card has it.")
@click.option("--log", type=click.Path(path_type=Path), help="Append the results to this JSON-lines file.")
@handle_errors
def main(
    name: str,
    data: Path,
    splits: Path,
    uses: tuple[str, ...],
    every: int,
    codebooks: tuple[int, ...],
    as_markdown: bool,
    log: Path | None,
) -> None:
    """Score and print; see the module."""
    from codectok import load

    tokenizer = load(name)
    shown: list[dict[str, object]] = []
    for use in uses:
        chosen = choose(splits, use)[::every]
        found = rows(tokenizer, [data / p for p in chosen], speakers(splits, chosen), list(codebooks))
        shown += [{"clips": f"{use} ({row['clips']} of {row['speakers']})", **cells(row)} for row in found]
        if log is not None:
            record = {"date": datetime.date.today().isoformat(), "fingerprint": tokenizer.fingerprint}
            with open(log, "a") as f:
                f.write(json.dumps(record | {"use": use, "every": every, "rows": found}) + "\n")
    if as_markdown:
        click.echo(markdown(shown))
    else:
        print_table(f"{name}: clips (of so many speakers)", shown)


if __name__ == "__main__":
    main()

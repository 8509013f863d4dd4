"""Reconstruction quality of a tokenizer on listed clips, with bootstrap intervals over clips.

``python -m benchmarks.quality --data SPEECH --splits splits.tsv --use val --codebooks 6 --codebooks 24``

Every run can be written down: ``--log FILE`` appends one JSON line.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import click

from benchmarks.clips import choose
from codectok.cli.common import handle_errors, print_table
from codectok.errors import AudioError

METRICS = ("pesq", "stoi", "estoi", "mel")


def rows(tokenizer: str, paths: list[Path], codebooks: list[int]) -> tuple[list[dict[str, Any]], str]:
    """One row a number of codebooks, and the tokenizer's fingerprint.

    Raises:
        AudioError: no clips, or clips of several rates.
    """
    from codectok import load, read_audio
    from codectok.metrics.reconstruction import score_reconstruction

    tok = load(tokenizer)
    clips = [read_audio(p) for p in paths]
    if len({rate for _, rate in clips}) != 1:
        found = sorted({rate for _, rate in clips})
        raise AudioError(f"clips at {found} Hz: scores need one rate" if clips else "no clips: see --use and --splits")
    rate = clips[0][1]
    out = []
    for k in codebooks or [len(tok.codebook_sizes)]:
        scores = score_reconstruction(tok, [c for c, _ in clips], rate, k, METRICS)
        row: dict[str, Any] = {"codebooks": k, "kbit/s": round(scores.bitrate, 3), "clips": scores.num_clips}
        for metric in METRICS:
            if not scores.values[metric]:  # it failed on every clip, which the count of failures says
                row[metric] = [None, None, None]
                continue
            interval = scores.interval(metric)
            values = (interval.mean, interval.low, interval.high)
            row[metric] = [None if v is None else round(v, 4) for v in values]
        row["failed"] = {m: n for m, n in scores.failed.items() if n}
        row["entropy kbit/s"] = round(float(tok.frame_rate) * sum(scores.entropy) / 1000, 3)
        row["least used share"] = round(min(u / n for u, n in zip(scores.used, tok.codebook_sizes, strict=False)), 3)
        out.append(row)
    return out, tok.fingerprint


@click.command(help=__doc__)
@click.option("--tokenizer", default="speech", help="Name or folder.")
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path), help="Folder of the audio.")
@click.option("--splits", required=True, type=click.Path(exists=True, path_type=Path), help="Table: path, use.")
@click.option("--use", default="val", help="Which clips of the table.")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Take every Nth of them.")
@click.option("--codebooks", multiple=True, type=click.IntRange(min=1), help="Numbers of codebooks; default all.")
@click.option("--log", type=click.Path(path_type=Path), help="Append the result to this JSON-lines file.")
@handle_errors
def main(
    tokenizer: str, data: Path, splits: Path, use: str, every: int, codebooks: tuple[int, ...], log: Path | None
) -> None:
    """Score and print; see the module."""
    paths = [data / p for p in choose(splits, use)][::every]
    found, fingerprint = rows(tokenizer, paths, list(codebooks))
    shown = []
    for row in found:
        cells = {k: v for k, v in row.items() if k not in METRICS and k != "failed"}
        for metric in METRICS:
            mean, low, high = row[metric]
            # One clip has a score and no interval.
            bounds = "" if low is None else f" [{low:.3f}, {high:.3f}]"
            cells[metric] = "-" if mean is None else f"{mean:.3f}{bounds}"
        shown.append({**cells, "failed": sum(row["failed"].values())})
    print_table(f"{tokenizer} on {len(paths)} clips marked {use}", shown)
    if log is not None:
        record = {"date": datetime.date.today().isoformat(), "fingerprint": fingerprint, "use": use, "rows": found}
        with open(log, "a") as f:
            f.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()

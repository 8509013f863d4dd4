"""Score, print, write and draw."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from codectok.cli.console import describe, handle_errors, print_table
from codectok.cli.progress import progress
from codectok.files.atomic import atomic_path
from codectok.metrics import get_metric
from codectok.processes import map_ahead

from ...split_tables import choose, speakers
from .. import rate_distortion as package
from .coders import CODERS, CoderError
from .plot import draw
from .points import METRICS, Map, Row, coder_rows, read_clips, tokenizer_rows

Shown = dict[str, object]


@click.command(help=package.__doc__)
@click.argument("tokenizers", nargs=-1)
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path), help="Folder of the audio.")
@click.option("--splits", required=True, type=click.Path(exists=True, path_type=Path), help="Table: path, use.")
@click.option("--use", default="val", show_default=True, help="Which clips of the table.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many clips, evenly spread over the list.")
@click.option("--codebooks", multiple=True, type=click.IntRange(min=1), help="Default: steps from 1 to all.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="PNG to write.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the rows to this file.")
@click.option(
    "--workers", "jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that score."
)
@handle_errors
def main(
    tokenizers: tuple[str, ...],
    data: Path,
    splits: Path,
    use: str,
    limit: int | None,
    codebooks: tuple[int, ...],
    output: Path,
    json_file: Path | None,
    jobs: int,
) -> None:
    """See the package."""
    from codectok import load

    given = list(dict.fromkeys(tokenizers)) or ["speech"]
    loaded = {label: load(name) for label, name in zip(labels(given), given, strict=True)}
    paths = choose(splits, use, limit)
    clips, who = read_clips(data, paths), speakers(splits, paths)
    rows: list[Row] = []
    each: Map = partial(map_ahead, workers=jobs)
    with progress(len(loaded) + len(CODERS), "scoring") as bar:
        for label, tokenizer in loaded.items():
            bar.note(label)
            rows += tokenizer_rows(label, tokenizer, clips, codebooks, each, who)
            bar.advance()
        for coder in CODERS:
            bar.note(coder.name)
            if missing := coder.missing():
                line = f"skipped {coder.name}: {missing} is not installed (on Debian: apt install {coder.package})"
                click.echo(line, err=True)
            else:
                try:
                    rows += coder_rows(coder, clips, each, who)
                except CoderError as error:
                    click.echo(f"skipped {coder.name}: {describe(error)}", err=True)
            bar.advance()
    print_table(f"{len(clips)} clips marked {use}", [shown(row) for row in rows])
    about = f"{len(clips)} clips ({use}) of {len(set(who))} speakers as 16-bit files; bars: 95 % bootstrap intervals"
    draw(rows, list(loaded), f"{about} over speakers, of level 80 % of the clips", output)
    if json_file is not None:
        record: dict[str, Any] = {"date": datetime.date.today().isoformat(), "use": use, "clips": len(clips)}
        record["speakers"] = len(set(who))
        record["fingerprints"] = {label: tokenizer.fingerprint for label, tokenizer in loaded.items()}
        record["commands"] = {coder.name: [" ".join(coder.encode), " ".join(coder.decode)] for coder in CODERS}
        with atomic_path(json_file) as temporary:
            temporary.write_text(json.dumps(record | {"rows": rows}, indent=2) + "\n")


def labels(names: Sequence[str]) -> list[str]:
    """What to call tokenizers in a plot: the last part of a path, where that tells them apart."""
    short = [Path(name).name or name for name in names]
    return short if len(set(short)) == len(names) else list(names)


def shown(row: Row) -> Shown:
    """A row as the table has it."""
    cells: Shown = {key: row[key] for key in ("name", "setting", "kbit/s", "measured")}
    for metric in METRICS:
        if row[metric] is None:
            cells[metric] = "-"
            continue
        mean, low, high, _ = row[metric]
        digits = get_metric(metric).decimals
        cells[metric] = f"{mean:.{digits}f}" + ("" if low is None else f" [{low:.{digits}f}, {high:.{digits}f}]")
    cells["failed"] = " ".join(f"{reason} {count}" for reason, count in row["failed"].items()) or "0"
    return cells

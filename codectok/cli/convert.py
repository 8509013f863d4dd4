"""``codectok convert``: a token store in another format."""

from __future__ import annotations

from pathlib import Path

import click

from codectok.cli.console import handle_errors, print_json, print_table
from codectok.cli.help import command
from codectok.cli.progress import progress
from codectok.stops import GOES_ON, keeping
from codectok.store.names import FORMATS, SINGLE_STREAM


@command()
@click.argument("store", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the new store.")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Of the new store.  [default: as STORE is]")
@click.option("--codebooks", type=click.IntRange(min=1), metavar="K", help="Keep the first K codebooks.")
@click.option("--flatten", is_flag=True, help=f"Interleave the codebooks into one stream ({', '.join(SINGLE_STREAM)}).")
@click.option("--dedup/--expand", default=None, help="Merge runs of equal frames, or undo it.  [default: as STORE is]")
@click.option("--bpe", type=click.Path(path_type=Path), metavar="FILE", help="Hold ids of this BPE instead of codes.")
@click.option("--no-bpe", is_flag=True, help="Hold codes, where STORE holds BPE ids.")
@click.option(
    "--labels", type=click.Path(exists=True, path_type=Path), metavar="MANIFEST", help="Join its labels, by id."
)
@click.option("--overwrite", is_flag=True, help="Delete a store or unfinished conversion that is in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@handle_errors
def convert(
    store: Path,
    output: Path,
    format_: str | None,
    codebooks: int | None,
    flatten: bool,
    dedup: bool | None,
    bpe: Path | None,
    no_bpe: bool,
    labels: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write STORE in another format, or with the labels of a manifest. The same command again goes on with a conversion
    that was stopped.

    Ids, codes, durations and lengths are all kept; what --codebooks leaves out, and labels that the format has no place
    for, are printed. A format that cannot hold the store is refused, with what to do.

    \b
    Examples:
      codectok convert store -o kaldi --format kaldi
      codectok convert store -o labelled --labels train.csv
    """
    from codectok.store import open_store
    from codectok.store.convert import convert_store
    from codectok.transforms.unit_bpe import UnitBPE

    if no_bpe and bpe is not None:
        raise click.UsageError("--no-bpe takes BPE ids apart: leave out --bpe")

    lost: list[str] = []
    opened = open_store(store)
    with keeping(GOES_ON), progress(len(opened), "converting") as bar:
        made = convert_store(
            opened,
            output,
            format=format_,
            num_codebooks=codebooks,
            flatten=flatten,
            dedup=dedup,
            bpe=not no_bpe if bpe is None else UnitBPE.load(bpe),
            labels=labels,
            overwrite=overwrite,
            progress=bar.advance,
            say=lost.append,
        )
    row = {"format": made.info.format, "items": len(made), "shards": made.num_shards, "MB": made.stats["bytes"] / 1e6}
    if as_json:
        print_json({"store": str(output), **row, "left_out": lost})
        return
    print_table(f"wrote {output}", [row])
    for line in lost:
        click.echo(f"left out: {line}")

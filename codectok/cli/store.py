"""``codectok verify`` and ``codectok convert``: token stores."""

from __future__ import annotations

from pathlib import Path

import click

from codectok.cli.common import handle_errors, print_json, print_table, progress
from codectok.cli.tokenize import FORMATS

SHOWN = 20
"""Problems that are printed; the rest are counted."""


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@handle_errors
def verify(store: Path, as_json: bool) -> None:
    """Check STORE: checksums, every row's codes and lengths, ids, index, counts. Exit status 1 if anything is wrong."""
    from codectok.store import open_store
    from codectok.store.verify import verify_store

    opened = open_store(store)
    with progress(len(opened), "verifying") as bar:
        problems = list(verify_store(opened, bar.advance))
    if as_json:
        print_json({"store": str(store), "items": len(opened), "problems": problems})
    else:
        for line in problems[:SHOWN]:
            click.echo(f"wrong: {line}", err=True)
        if len(problems) > SHOWN:
            click.echo(f"wrong: {len(problems) - SHOWN} more", err=True)
        if not problems:
            click.echo(f"{store}: {len(opened)} items in {opened.num_shards} shards, all as written")
    raise click.exceptions.Exit(1 if problems else 0)


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the new store.")
@click.option("--format", "format_", type=click.Choice(FORMATS), required=True)
@click.option("--codebooks", type=click.IntRange(min=1), metavar="K", help="Keep the first K codebooks.")
@click.option("--flatten", is_flag=True, help="Interleave the codebooks into one stream (fairseq).")
@click.option("--overwrite", is_flag=True, help="Delete a store or unfinished conversion that is in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@handle_errors
def convert(
    store: Path, output: Path, format_: str, codebooks: int | None, flatten: bool, overwrite: bool, as_json: bool
) -> None:
    """Write STORE in another format."""
    from codectok.store import open_store
    from codectok.store.convert import convert_store

    opened = open_store(store)
    with progress(len(opened), "converting") as bar:
        made = convert_store(
            opened,
            output,
            format=format_,
            num_codebooks=codebooks,
            flatten=flatten,
            overwrite=overwrite,
            progress=bar.advance,
        )
    row = {"format": made.info.format, "items": len(made), "shards": made.num_shards, "MB": made.stats["bytes"] / 1e6}
    if as_json:
        print_json({"store": str(output), **row})
    else:
        print_table(f"wrote {output}", [row])

"""``codectok verify`` and ``codectok merge``: token stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from codectok.cli.console import handle_errors, print_json, print_table
from codectok.cli.help import command
from codectok.cli.progress import progress
from codectok.stops import GOES_ON, keeping

if TYPE_CHECKING:
    from codectok.corpus.recheck import Recheck
    from codectok.items.corpus import Corpus
    from codectok.store import Store

SHOWN = 20
"""Problems that are printed; the rest are counted."""


@command()
@click.argument("store", type=click.Path(path_type=Path))
@click.option("--corpus", type=click.Path(path_type=Path), help="Check order and number against what it was made from.")
@click.option("--ffmpeg", is_flag=True, help="With --corpus, where the store was made so.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Tokenize N items again and compare the codes.")
@click.option("--tokenizer", metavar="T", help="With --sample.  [default: the store's]")
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Of the sample.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@handle_errors
def verify(
    store: Path,
    corpus: Path | None,
    ffmpeg: bool,
    sample: int | None,
    tokenizer: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Check STORE: checksums, every row's codes and lengths, ids, index, counts. Exit status 1 if anything is wrong.

    With --corpus, also that its items are those of the manifest, in order; with --sample, that they get the same codes.

    \b
    Examples:
      codectok verify store
      codectok verify store --corpus corpus/ --sample 2
    """
    from codectok.store import open_store
    from codectok.store.verify import verify_store

    if (sample or tokenizer) and corpus is None:
        raise click.UsageError("--sample and --tokenizer need --corpus: the audio is read again")
    if ffmpeg and corpus is None:
        raise click.UsageError("--ffmpeg needs --corpus: it says how that was read")
    opened = open_store(store)
    source = _open(corpus, ffmpeg)
    with progress(len(opened), "verifying") as bar:
        problems = list(verify_store(opened, bar.advance))
    again = None
    if source is not None:
        from codectok.corpus.recheck import check_manifest

        problems += check_manifest(opened, source)
        if sample or tokenizer:
            again = _again(opened, source, tokenizer, sample or 20, seed)
            problems += again.problems
    if as_json:
        figures = {} if again is None else {k: getattr(again, k) for k in ("items", "frames", "differing")}
        print_json({"store": str(store), "items": len(opened), "problems": problems, "sample": figures})
    else:
        for line in problems[:SHOWN]:
            click.echo(f"wrong: {line}", err=True)
        if len(problems) > SHOWN:
            click.echo(f"wrong: {len(problems) - SHOWN} more", err=True)
        if not problems:
            part = f" (part {opened.part})" if opened.part else ""
            click.echo(f"{store}{part}: {len(opened)} items in {opened.num_shards} shards, all as written")
            if corpus is not None:
                click.echo(f"order and items as in {corpus}")
        if again is not None and again.items:
            differ = f"{again.differing} frames differ" if again.differing else "all equal"
            click.echo(f"{again.items} items tokenized again, {again.frames} frames: {differ}")
    raise click.exceptions.Exit(1 if problems else 0)


def _open(corpus: Path | None, ffmpeg: bool) -> Corpus | None:
    if corpus is None:
        return None
    from codectok.items.corpus import read_corpus

    return read_corpus(corpus, ffmpeg)


def _again(store: Store, corpus: Corpus, name: str | None, items: int, seed: int) -> Recheck:
    from codectok.corpus.recheck import check_sample
    from codectok.shipped import made_by
    from codectok.tokenizer import load

    with progress(None, "tokenizing again"):
        tok = load(name or made_by(store.fingerprint, store.info.tokenizer))
        return check_sample(store, corpus, tok, items, seed=seed)


@command()
@click.argument("parts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the whole store.")
@click.option("--overwrite", is_flag=True, help="Delete a store or unfinished merge that is in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@handle_errors
def merge(parts: tuple[Path, ...], output: Path, overwrite: bool, as_json: bool) -> None:
    """Join PARTS, the folders of all `codectok tokenize --shard I/N` of a job, into the store one run would have made.

    Shards are hard links where the file system allows it, copies elsewhere: the parts can be deleted afterwards.

    \b
    Examples:
      codectok merge part-1 part-2 -o whole
    """
    from codectok.store import open_store
    from codectok.store.merge import merge_stores

    with keeping(GOES_ON), progress(sum(len(open_store(part)) for part in parts), "merging") as bar:
        made = merge_stores(parts, output, overwrite=overwrite, progress=bar.advance)
    row = {"parts": len(parts), "items": len(made), "failed": made.num_failed, "shards": made.num_shards}
    if as_json:
        print_json({"store": str(output), **row})
    else:
        print_table(f"wrote {output}", [{**row, "hours": made.stats["hours_audio"], "MB": made.stats["bytes"] / 1e6}])

"""``codectok tokenize``: a corpus into a token store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codectok.cli.common import (
    finish,
    handle_errors,
    open_tokenizer,
    print_json,
    print_table,
    progress,
    tokenizer_options,
)

if TYPE_CHECKING:
    from codectok.corpus.pipeline import Summary

FORMATS = ("parquet", "jsonl", "fairseq")
"""Names of the store formats: typed here so that ``--help`` need not import them; a test compares."""


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the store.")
@tokenizer_options
@click.option("--format", "format_", type=click.Choice(FORMATS), default="parquet", show_default=True)
@click.option("--dedup", is_flag=True, help="Merge runs of equal frames, keeping their lengths.")
@click.option("--flatten", is_flag=True, help="Interleave the codebooks into one stream (fairseq).")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Threads that read audio.")
@click.option("--engine", type=click.Choice(["local"]), default="local", show_default=True)
@click.option("--shard-size", type=click.IntRange(min=1), default=1000, show_default=True, help="Items in a shard.")
@click.option("--overwrite", is_flag=True, help="Delete a store or unfinished run that is in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@handle_errors
def tokenize(
    corpus: Path,
    output: Path,
    tokenizer: str | None,
    codebooks: int | None,
    bitrate: float | None,
    format_: str,
    dedup: bool,
    flatten: bool,
    workers: int,
    engine: str,
    shard_size: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Tokenize CORPUS, a folder of audio or a manifest (.txt, .tsv, .csv, .jsonl, wav.scp), into a token store.

    The same command again goes on with a run that was stopped. Files that fail are listed, and are in errors.jsonl.
    """
    from codectok.corpus.manifest import read_corpus
    from codectok.corpus.pipeline import tokenize_corpus

    items = read_corpus(corpus)
    model, k = open_tokenizer(tokenizer, codebooks, bitrate)
    with progress(1.0, "tokenizing") as bar:
        before = 0

        def advance(done: int, total: int) -> None:
            nonlocal before
            bar.note(f"{done}/{total}")
            bar.advance((done - before) / total)
            before = done

        summary = tokenize_corpus(
            items,
            model,
            output,
            format=format_,
            num_codebooks=k,
            flatten=flatten,
            dedup=dedup,
            items_per_shard=shard_size,
            workers=workers,
            overwrite=overwrite,
            progress=advance,
        )
    _report(summary, as_json)
    finish(summary.items, summary.failed)


def _report(summary: Summary, as_json: bool) -> None:
    for error in summary.first_errors:
        click.echo(f"failed: {error.id}: {error.kind}: {error.message}", err=True)
    if summary.failed > len(summary.first_errors):
        more = summary.failed - len(summary.first_errors)
        click.echo(f"failed: {more} more, see {summary.out / 'errors.jsonl'}", err=True)
    if as_json:
        print_json({"store": str(summary.out), "resumed_shards": summary.resumed_shards, **summary.stats})
        return
    print_table(f"wrote {summary.out}", [_figures(summary.stats)])


def _figures(stats: dict[str, Any]) -> dict[str, object]:
    return {
        "files": stats["items"],
        "failed": stats["failed"],
        "seconds": stats["seconds_audio"],
        "tokens/s": stats["token_rate"],
        "kbit/s": stats["bitrate_kbps"],
        "x real time": stats["run"].get("x_real_time"),
        "MB": stats["bytes"] / 1e6,
    }

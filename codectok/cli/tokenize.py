"""``codectok tokenize``: a corpus into a token store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codectok.cli.bpe import bpe_option, read_bpe
from codectok.cli.console import finish, handle_errors, open_tokenizer, print_json, print_table, tokenizer_options
from codectok.cli.help import command
from codectok.cli.progress import progress
from codectok.cli.verbosity import is_quiet
from codectok.extras import need
from codectok.stops import keeping
from codectok.store.names import FORMATS, SINGLE_STREAM

if TYPE_CHECKING:
    from codectok.corpus.pipeline import TokenizeSummary
    from codectok.items.corpus import Corpus
    from codectok.store.info import StoreOptions
    from codectok.tokenizer import Tokenizer


class JobPart(click.ParamType):  # type: ignore[type-arg]
    """I/N, from 1."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """As numbers."""
        found = re.fullmatch(r"(\d+)/(\d+)", str(value))
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            self.fail(f"{value!r} is no part of a corpus: give I/N with I from 1 to N, such as 3/16", param, ctx)
        return int(found[1]), int(found[2])


SECTIONS = {
    "Store": ("output", "format_", "dedup", "bpe", "flatten"),
    "Tokenizer": ("tokenizer", "codebooks", "bitrate"),
    "Work": ("dry_run", "workers", "device", "max_errors", "strict", "ffmpeg", "overwrite", "as_json"),
    "Many machines": ("shard", "engine"),
    "What bytes depend on": ("shard_size", "batch_seconds"),
}


@command(sections=SECTIONS)
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the store.")
@tokenizer_options
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    metavar="F",
    default="parquet",
    show_default=True,
    help=f"One of {', '.join(FORMATS)}.",
)
@click.option("--dedup", is_flag=True, help="Merge runs of equal frames, keeping their lengths.")
@bpe_option("Hold ids of this BPE instead of codes")
@click.option("--flatten", is_flag=True, help=f"Interleave the codebooks into one stream ({', '.join(SINGLE_STREAM)}).")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes.  [default: one a usable core]")
@click.option("--device", metavar="D,...", help="Run models here (cuda:0,cuda:1), and have workers read audio.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="This machine, or Ray: the cluster of RAY_ADDRESS.",
)
@click.option("--shard", type=JobPart(), help="Make part I of N, for `codectok merge` to join.")
@click.option(
    "--shard-size",
    type=click.IntRange(min=1),
    metavar="N",
    default=1000,
    show_default=True,
    help="Items in a shard: what a killed run loses at most.",
)
@click.option(
    "--batch-seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    default=60.0,
    show_default=True,
    help="Most audio that is encoded together.",
)
@click.option("--max-errors", type=click.IntRange(min=0), metavar="N", help="Stop when more than N items have failed.")
@click.option("--ffmpeg", is_flag=True, help="Have ffmpeg decode .m4a, .aac, .webm, .amr, .wma and the like.")
@click.option("--strict", is_flag=True, help="Refuse damaged audio that could be read with a warning.")
@click.option("--overwrite", is_flag=True, help="Delete a store or unfinished run that is in the folder.")
@click.option("--dry-run", is_flag=True, help="Only estimate time and disk space, from a sample.")
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
    bpe: str | None,
    workers: int | None,
    shard_size: int,
    batch_seconds: float,
    dry_run: bool,
    as_json: bool,
    ffmpeg: bool,
    **options: Any,
) -> None:
    """Tokenize CORPUS into a token store: a folder of audio, tar, parquet or arrow files, a manifest (.txt, .tsv,
    .csv, .jsonl), or a Kaldi or lhotse one.

    The same command again goes on with a run that was stopped. Files that fail are listed, and are in errors.jsonl.

    \b
    Examples:
      codectok tokenize corpus/ -o store --dry-run
      codectok tokenize corpus/ -o store --tokenizer units --dedup
      codectok tokenize corpus/ -o bpe-store --tokenizer units --dedup --bpe
      codectok tokenize train.csv -o part-1 --bitrate 1.5 --shard 1/2
      codectok tokenize train.csv -o part-2 --bitrate 1.5 --shard 2/2
    """
    from codectok.corpus.crew import prepare_workers
    from codectok.items.corpus import read_corpus

    if dry_run:
        _refuse_with_dry_run(options, workers)
    need("token stores need", "scale", "pyarrow")
    if options["engine"] == "ray":
        need("--engine ray needs", "scale", "ray")
    items = read_corpus(corpus, ffmpeg)
    if not dry_run and options["engine"] == "local" and options["device"] is None:
        workers = prepare_workers(items, workers)
    model, k = open_tokenizer(tokenizer, codebooks, bitrate)
    merges = read_bpe(bpe, model)
    if merges is not None and codebooks is None and bitrate is None:
        k = len(merges.codebook_sizes)
    if dry_run:
        from codectok.store.info import StoreOptions

        arranged = StoreOptions(dedup, options["flatten"], shard_size, batch_seconds)
        _estimate(items, model, k, workers, format_, arranged, as_json)
        return
    options |= {"format": format_, "num_codebooks": k, "dedup": dedup, "bpe": merges, "workers": workers}
    options |= {"items_per_shard": shard_size, "batch_seconds": batch_seconds}
    summary = _run(items, model, output, **options)
    _report(summary, as_json)
    finish(summary.items, summary.failed)


def _refuse_with_dry_run(options: dict[str, Any], workers: int | None) -> None:
    """An estimate that left out what was asked for would be of another run."""
    context = click.get_current_context(silent=True)
    for name in ("device", "shard"):
        if options[name] is not None:
            raise click.UsageError(f"--dry-run is of the whole corpus on processor cores: leave out --{name}", context)
    if options["engine"] != "local" and workers is None:
        raise click.UsageError("--dry-run cannot see the cluster: give --workers, the cores that it has", context)


def _run(corpus: Corpus, tokenizer: Tokenizer, output: Path, **options: Any) -> TokenizeSummary:
    from codectok.corpus.pipeline import tokenize_corpus

    done, total = 0, 0

    def kept() -> str:
        shards = len(list(output.glob(".work/[0-9]*.json")))
        again = "the same command" + (" without --overwrite" if options["overwrite"] else "")
        return f"{done} of {total} items were done, and {shards} shards are kept: {again} goes on from there"

    with keeping(kept), progress(1.0, "tokenizing") as bar:

        def advance(now: int, items: int) -> None:
            nonlocal done, total
            bar.note(f"{now}/{items}")
            bar.advance((now - done) / items)
            done, total = now, items

        return tokenize_corpus(corpus, tokenizer, output, progress=advance, **options)


def _estimate(
    corpus: Corpus,
    tokenizer: Tokenizer,
    k: int,
    workers: int | None,
    format: str,
    options: StoreOptions,
    as_json: bool,
) -> None:
    from codectok.corpus.crew import default_workers
    from codectok.corpus.estimate import estimate

    cores = workers or default_workers(corpus)
    with progress(None, "estimating"):
        found = estimate(corpus, tokenizer, k, workers=cores, format=format, options=options, from_start=True)
    print_table("this would take, judging by a sample", found.rows(), as_json)


def _report(summary: TokenizeSummary, as_json: bool) -> None:
    from codectok.files.suffixes import SHARD_SUFFIXES

    for error in summary.first_errors:
        click.echo(f"failed: {error.id}: {error.kind}: {error.message}", err=True)
    for suffix, count in sorted(summary.unread.items()):
        what = f"{count} {suffix} file{'s are' if count > 1 else ' is'} not read"
        remedy = "give them as a corpus of their own" if suffix in SHARD_SUFFIXES else "convert them, e.g. with ffmpeg"
        click.echo(f"failed: {what}: {remedy}{'' if suffix in SHARD_SUFFIXES else ', or give --ffmpeg'}", err=True)
    if (more := summary.failed - len(summary.first_errors) - sum(summary.unread.values())) > 0:
        click.echo(f"failed: {more} more, see {summary.out / 'errors.jsonl'}", err=True)
    _report_warnings(summary)
    if summary.labels_left_out:
        names = ", ".join(summary.labels_left_out)
        click.echo(f"left out: labels that the format has no place for: {names} (parquet has)", err=True)
    if summary.begun_without_labels:
        click.echo(
            f"{summary.out} was begun without labels, as earlier versions do, and has none: to join them, use codectok "
            f"convert {summary.out} -o OUT --labels MANIFEST",
            err=True,
        )
    if as_json:
        facts = {"already_finished": summary.already_finished, "resumed_shards": summary.resumed_shards}
        print_json({"store": str(summary.out), **facts, **summary.stats})
        return
    if summary.already_finished:
        again = " (--overwrite makes it anew, and tries what failed again)" if summary.failed else ""
        print_table(f"{summary.out} was finished before: nothing to do{again}", [_figures(summary.stats)])
        return
    if summary.resumed_shards:
        click.echo(f"{summary.resumed_shards} shards were there already: seconds and speed are of the others")
    print_table(f"wrote {summary.out}", [_figures(summary.stats)])
    print_table("", [_run_figures(summary.stats["run"])])


def _report_warnings(summary: TokenizeSummary) -> None:
    if is_quiet():
        return
    for warning in summary.first_warnings:
        click.echo(f"warning: {warning.message}", err=True)
    more = summary.stats.get("warnings", 0) - len(summary.first_warnings)
    if more > 0:
        click.echo(f"warning: {more} more, see {summary.out / 'errors.jsonl'}", err=True)


def _figures(stats: dict[str, Any]) -> dict[str, object]:
    return {
        "files": stats["items"],
        "failed": stats["failed"],
        **({"warnings": n} if (n := stats.get("warnings")) else {}),
        "hours": stats["hours_audio"],
        "tokens/s": stats["token_rate"],
        "kbit/s": stats["bitrate_kbps"],
        "MB": stats["bytes"] / 1e6,
    }


def _run_figures(run: dict[str, Any]) -> dict[str, object]:
    """Of this run: seconds are of CPU time, but for the first."""
    return {
        "seconds": run["wall_seconds"],
        "x real time": run["x_real_time"],
        "read s": run.get("read_seconds"),
        "encode s": run.get("encode_seconds"),
        "workers": run.get("workers"),
        "cores' time used": run.get("busy_share"),
    }

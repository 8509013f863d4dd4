"""``codectok units score``: the quality of a tokenizer's units, in one command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codectok.cli.console import device_option, finish, handle_errors, print_json
from codectok.cli.help import command
from codectok.cli.progress import progress
from codectok.errors import CodectokError
from codectok.extras import need

if TYPE_CHECKING:
    from codectok.metrics.segments import Segment
    from kmeans_units.columns import ClipRow

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW = click.Path(dir_okay=False, path_type=Path)


@command()
@click.argument("tokenizer")
@click.argument("corpus", type=click.Path(exists=True))
@click.option("--codebooks", default="1", metavar="K|all", show_default=True, help="Score the first K codebooks.")
@click.option("--phones", type=NEW, metavar="TSV", help="Labels: path, onset, offset, phone. With --align: written.")
@click.option("--align", is_flag=True, help="Make the labels from the manifest's English transcripts (pocketsphinx).")
@click.option("--items", type=FILE, metavar="FILE.item", help="ABX on these; default: triphones of the labels.")
@click.option("--any-context", is_flag=True, help="ABX of single phones, whatever is beside them: for small corpora.")
@click.option("--abx/--no-abx", default=True, show_default=True, help="Needs --items or labels.")
@click.option("--features/--no-features", default=False, show_default=True, help="ABX of the features as well.")
@click.option("--robustness", "robust", type=click.IntRange(min=0), default=20, show_default=True, metavar="N",
              help="Disturb N clips; 0 for none.")  # fmt: skip
@click.option("--join", type=FILE, metavar="TABLE", help="Add this table's columns to the manifest's, by path.")
@click.option("--where", multiple=True, metavar="COLUMN=PATTERN", help="Only these clips, as language='en*'.")
@click.option(
    "--resamples", type=click.IntRange(min=10), metavar="N", default=500, show_default=True, help="Of the bootstrap."
)
@device_option
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Of all draws.")
@click.option("--plot", type=NEW, metavar="FILE.png", help="Draw a clip's units against its spectrogram.")
@click.option("--plot-clip", metavar="NAME", help="Path or id of the clip to draw; default the first with labels.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@handle_errors
def score(**options: Any) -> None:
    """Score the units of TOKENIZER on CORPUS: usage, phones, ABX, robustness.

    Phones need labels (--phones) or transcripts (--align); ABX needs these or an item file. Clips that cannot be read
    or aligned are counted and left out.

    \b
    Examples:
      codectok units score units corpus/
      codectok units score km:my-units corpus/ --phones phones.tsv --features
    """
    from codectok.items.corpus import read_corpus
    from codectok.tokenizer import load
    from kmeans_units import score as work
    from kmeans_units.columns import read_rows
    from kmeans_units.score_tables import print_scores

    _check_plot(options["plot"])
    if options["align"] and not (options["phones"] and options["phones"].is_file()):
        need("--align needs", "bench", "pocketsphinx")
    tokenizer = load(options["tokenizer"], device=options["device"])
    corpus = read_corpus(options["corpus"])
    rows = read_rows(corpus, options["join"], options["where"])
    whole = len(tokenizer.codebook_sizes)
    count = tokenizer.choose_codebooks(whole if options["codebooks"] == "all" else _number(options["codebooks"]), None)
    phones, labels = _labels(rows, corpus.root, options["phones"], options["align"])
    drawn = _drawn(rows, corpus.root, options["plot_clip"])
    items = _items(rows, corpus.root, phones, options) if options["abx"] else None

    with progress(len(rows), "encode") as bar:
        wanted = bool(items) and options["features"]
        encoded = work.encode(tokenizer, rows, corpus.root, num_codebooks=count, features=wanted, progress=bar.advance)
    result: dict[str, Any] = {
        "tokenizer": tokenizer.name,
        "fingerprint": tokenizer.fingerprint,
        "frame_rate": str(tokenizer.frame_rate),
        "clips": len(encoded.names),
        "seconds": encoded.seconds,
        "failed": encoded.failed,
        "codebooks": work.codebook_scores(tokenizer, encoded, phones, options["resamples"], options["seed"]),
        "bpe": work.bpe_rates(tokenizer, encoded),
        "phones": labels,
        "abx": None,
        "robustness": None,
    }
    if items:
        with progress(None, "ABX"):
            result["abx"] = work.abx_scores(
                tokenizer, encoded, items, in_context=not options["any_context"], seed=options["seed"]
            )
    ids = set(encoded.ids)
    known = [r for r in rows if r.item.id in ids]
    if options["robust"]:
        with progress(min(options["robust"], len(known)), "robustness") as bar:
            result["robustness"] = work.robustness_scores(
                tokenizer, known, count, options["robust"], options["seed"], bar.advance
            )
    (print_json if options["as_json"] else print_scores)(result)
    if options["plot"] is not None:
        _plot(options["plot"], tokenizer, [drawn] if drawn else known, corpus.root, phones)
    failed = {**encoded.failed, **(labels or {}).get("failed", {})}
    for name, reason in failed.items():
        click.echo(f"failed: {name}: {reason}", err=True)
    finish(len(encoded.names), len(failed))


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise click.UsageError(f"--codebooks {text}: give a number, or all")
    return int(text)


def _labels(
    rows: list[ClipRow], root: str, path: Path | None, align: bool
) -> tuple[dict[str, list[Segment]] | None, dict[str, Any] | None]:
    """Labels by clip, and what is known of them."""
    from codectok.metrics.segments import read_segments, write_segments

    if path is not None and (path.exists() or not align):
        if not path.exists():
            raise CodectokError(f"there are no labels {path}: give a table, or --align to make it from transcripts")
        return read_segments(path), {"file": str(path), "failed": {}}
    if not align:
        return None, None
    from codectok.items.clips import read_clip
    from kmeans_units.names import clip_name
    from kmeans_units.phones import RATE, align_clips

    spoken = [r for r in rows if r.transcript]
    if not spoken:
        raise CodectokError("no clip has a transcript to align: the manifest needs a column transcript or text")

    def reader(row: ClipRow) -> Callable[[], Any]:
        return lambda: read_clip(row.item, RATE)

    with progress(len(spoken), "align") as bar:
        made = align_clips(((clip_name(r.item, root), r.transcript, reader(r)) for r in spoken), bar.advance)
    if not made.clips:
        raise CodectokError(f"no clip could be aligned: {next(iter(made.failed.values()))}")
    if path is not None:
        write_segments(path, made.clips)
    facts = {"file": None if path is None else str(path), "failed": made.failed, "aligned": len(made.clips)}
    return made.clips, facts | {"phones": made.num_phones, "without_transcript": len(rows) - len(spoken)}


def _items(rows: list[ClipRow], root: str, phones: dict[str, list[Segment]] | None, options: dict[str, Any]) -> Any:
    """Items of the file, or of the labels; None where there is neither."""
    from codectok.metrics.items import items_from_segments, read_items
    from kmeans_units.names import by_clip, names_of

    if options["items"] is not None:
        return read_items(options["items"])
    if phones is None:
        return None
    names = names_of((r.item for r in rows), root)
    speakers = {names[r.item.id]: r.speaker.replace(" ", "_") for r in rows}
    # An item file's names have no spaces; here they need not be written, but mean the same clips.
    mine = {name: segments for name, segments in by_clip(phones, names).items() if " " not in name}
    return items_from_segments(mine, speakers, triphone=not options["any_context"])


def _check_plot(path: Path | None) -> None:
    if path is not None and path.suffix.lower() != ".png":
        raise click.UsageError(f"--plot {path}: a picture is a PNG; give a name that ends in .png")
    if path is not None:
        need("--plot needs", "bench", "matplotlib")


def _drawn(rows: list[ClipRow], root: str, name: str | None) -> ClipRow | None:
    """The clip that --plot-clip names."""
    from codectok.metrics.segments import ClipNames
    from kmeans_units.names import names_of

    if name is None:
        return None
    names = names_of((r.item for r in rows), root)
    chosen = ClipNames(names.values(), names).find(name)
    if chosen is None:
        raise CodectokError(f"--plot-clip {name}: no such clip; give its path in the manifest, or its id")
    return next(r for r in rows if names[r.item.id] == chosen)


def _plot(path: Path, tokenizer: Any, rows: list[ClipRow], root: str, phones: dict[str, list[Segment]] | None) -> None:
    """Draw the first clip that has labels, or the first."""
    from codectok.files.atomic import atomic_path
    from codectok.inspect.units import draw_units
    from codectok.items.clips import read_clip
    from kmeans_units.names import by_clip, clip_name, names_of
    from kmeans_units.score import first_frame

    labels = by_clip(phones or {}, names_of((r.item for r in rows), root))
    row = next((r for r in rows if clip_name(r.item, root) in labels), rows[0])
    chosen = clip_name(row.item, root)
    samples = read_clip(row.item, tokenizer.sample_rate)
    tokens = tokenizer.encode(samples, tokenizer.sample_rate, num_codebooks=1)
    segments = labels.get(chosen)
    title, start = f"{chosen}, {tokenizer.name}", float(first_frame(tokenizer))
    with atomic_path(path) as temporary:
        draw_units(temporary, samples, tokenizer.sample_rate, tokens, segments, title=title, start=start)
    click.echo(f"wrote {path}: {chosen}", err=True)

"""``codectok corpus``: manifests of known corpora, of the pieces of long recordings, of the times of words."""

from __future__ import annotations

from pathlib import Path

import click

from codectok.cli.console import device_option, finish, handle_errors, print_json, print_table
from codectok.cli.help import command
from codectok.cli.lazy import LazyGroup
from codectok.cli.progress import progress

COMMANDS = {
    "prepare": (f"{__name__}:prepare", "Write manifests of a known corpus from its layout on disk."),
    "align": (f"{__name__}:align", "Find the times of words, by a CTC model."),
    "segment": (f"{__name__}:segment", "Cut long recordings into pieces, as a manifest."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def corpus() -> None:
    """Make manifests that tokenize reads: of known corpora, of pieces of long recordings, with the times of words."""


@command()
@click.argument("name", required=False)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the manifests, one a split.")
@click.option("--list", "show", is_flag=True, help="List the corpora that are known.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@handle_errors
def prepare(name: str | None, folder: Path | None, output: Path | None, show: bool, as_json: bool) -> None:
    """Write JSONL manifests of the corpus NAME, which lies in FOLDER as its makers lay it out.

    What is missing is in OUTPUT/missing.jsonl: audio (exit status 1), transcripts, and files that no list names.

    \b
    Examples:
      codectok corpus prepare --list
      codectok corpus prepare librispeech LibriSpeech -o manifests
    """
    if show:
        from codectok.cli.listing import list_names

        list_names("corpora", as_json)
        return
    from codectok.corpus.prepare import prepare as run

    if name is None or folder is None or output is None:
        raise click.UsageError("give NAME, FOLDER and -o OUTPUT, or --list", click.get_current_context())
    with progress(1.0, "preparing") as bar:
        made = run(name, folder, output, lambda count: bar.note(f"{count} clips"))
    figures = [
        {
            "split": split,
            "clips": s.clips,
            "hours": s.seconds / 3600 if s.seconds else None,
            "speakers": len(s.speakers) or None,
            "no audio": s.no_audio,
            "no text": s.no_text,
        }
        for split, s in made.splits.items()
    ]
    if as_json:
        print_json({"output": str(output), "splits": figures, "unlisted": made.unlisted})
    else:
        print_table(f"wrote {output}", figures)
    if made.unlisted:
        click.echo(f"{made.unlisted} audio files in {folder} are in none of the corpus's lists", err=True)
    if made.problems:
        click.echo(f"what is missing is listed in {output / 'missing.jsonl'}", err=True)
    finish(sum(s.clips for s in made.splits.values()), made.no_audio)


@command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Manifest, .jsonl.")
@click.option("--max", "max_seconds", required=True, type=float, metavar="SECONDS", help="Longest piece.")
@click.option("--vad", is_flag=True, help="Keep speech only, cut in pauses (needs webrtcvad-wheels).")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@handle_errors
def segment(corpus: Path, output: Path, max_seconds: float, vad: bool, as_json: bool) -> None:
    """Cut the files of CORPUS into pieces, as a manifest of offsets and durations: no audio is written.

    \b
    Examples:
      codectok corpus segment corpus/ -o pieces.jsonl --max 0.1
      codectok corpus segment talks/ -o pieces.jsonl --max 20 --vad
    """
    from codectok.corpus.segment import segment_corpus
    from codectok.corpus.voice import webrtc
    from codectok.items.corpus import read_corpus

    if vad:
        webrtc()  # says so now if it is not installed
    with progress(1.0, "segmenting") as bar:
        cuts = segment_corpus(
            read_corpus(corpus), output, max_seconds, webrtc if vad else None, lambda n: bar.note(f"{n} files")
        )
    for key, reason in cuts.failed:
        click.echo(f"failed: {key}: {reason}", err=True)
    figures = {
        "files": cuts.items,
        "failed": len(cuts.failed),
        "hours": cuts.seconds / 3600,
        "pieces": cuts.pieces,
        "hours kept": cuts.kept_seconds / 3600,
    }
    if as_json:
        print_json({"output": str(output), **figures})
    else:
        print_table(f"wrote {output}", [figures])
    finish(cuts.pieces, len(cuts.failed))


@command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Manifest, .jsonl.")
@click.option("--model", required=True, metavar="W", help="Folder or hub id of a CTC model that writes letters.")
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@handle_errors
def align(corpus: Path, output: Path, model: str, device: str, as_json: bool) -> None:
    """Find when each word of CORPUS, a manifest with texts, is said: the manifest with a column `words`.

    CTC forced alignment. `llm pack --text OUTPUT` interleaves by these words, and writes their times.

    \b
    Examples:
      codectok corpus align train.csv -o words.jsonl --model wav2vec2-base-960h
    """
    from codectok.corpus.align import CtcAligner, align_corpus
    from codectok.items.corpus import read_corpus
    from codectok.opening import check_device

    check_device(device)
    items = read_corpus(corpus)
    with progress(None, "aligning") as bar:
        made = align_corpus(items, output, CtcAligner(model, device), bar.advance)
    for key, reason in made.failed:
        click.echo(f"failed: {key}: {reason}", err=True)
    figures = {"clips": made.items, "failed": len(made.failed), "words": made.words, "hours": made.seconds / 3600}
    if as_json:
        print_json({"output": str(output), **figures})
    else:
        print_table(f"wrote {output}", [figures])
    finish(made.items, len(made.failed))

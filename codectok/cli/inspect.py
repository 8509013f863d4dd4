"""``codectok inspect``: one HTML page to listen to, look at and compare tokenizers."""

from __future__ import annotations

from pathlib import Path

import click

from codectok.cli.console import describe, device_option, finish, handle_errors, print_json
from codectok.cli.help import command
from codectok.cli.progress import progress
from codectok.errors import CodectokError


@command()
@click.argument("audio", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--output", "out", required=True, type=click.Path(), metavar="REPORT.html", help="The page to write."
)
@click.option("--tokenizer", "names", multiple=True, metavar="T", help="May be repeated.  [default: speech]")
@click.option("--codebooks", multiple=True, type=click.IntRange(min=1), metavar="K", help="May be repeated.")
@click.option("--bitrate", "bitrates", multiple=True, type=float, metavar="KBPS", help="May be repeated.")
@device_option
@click.option("--seconds", type=click.FloatRange(0, 600, min_open=True), metavar="X", default=20.0, show_default=True,
              help="Of each clip, show the first so many seconds.")  # fmt: skip
@click.option("--phones", type=click.Path(exists=True, dir_okay=False), metavar="TSV",
              help="Labels to show: path, onset, offset, phone.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Also print the summary as JSON.")
@handle_errors
def inspect(
    audio: tuple[str, ...],
    out: str,
    names: tuple[str, ...],
    codebooks: tuple[int, ...],
    bitrates: tuple[float, ...],
    device: str,
    seconds: float,
    phones: str | None,
    as_json: bool,
) -> None:
    """Compare tokenizers on some clips, in one HTML page that needs no network.

    Every tokenizer is shown at every number of codebooks (or bitrate) given; AUDIO are files or folders.

    \b
    Examples:
      codectok inspect a.flac -o report.html
      codectok inspect corpus/ -o two.html --tokenizer speech --tokenizer units
    """
    from codectok.cli.paths import expand
    from codectok.files.atomic import atomic_path
    from codectok.files.suffixes import AUDIO_SUFFIXES, UNREAD_SUFFIXES
    from codectok.inspect import InspectedClip, choose_settings, compare, render, summarize
    from codectok.metrics.segments import labels_of_files
    from codectok.tokenizer import load

    target = Path(out)
    if target.is_dir():
        raise click.UsageError(f"-o {out} is a folder: give the name of the page, such as {target / 'report.html'}")
    files = expand(audio, AUDIO_SUFFIXES, also=UNREAD_SUFFIXES)
    tokenizers = [load(name, device=device) for name in dict.fromkeys(names or ("speech",))]
    settings, notes = choose_settings(tokenizers, codebooks, bitrates)
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    labels = labels_of_files(phones, files) if phones else {}
    clips: list[InspectedClip] = []
    failed: list[tuple[Path, str]] = []
    with progress(len(files), "inspect") as bar:
        for path in files:
            bar.note(path.name)
            try:
                clips.append(compare(path, settings, seconds, labels.get(path, ())))
            except (CodectokError, OSError) as error:
                failed.append((path, describe(error)))
            bar.advance()
    for path, reason in failed:
        click.echo(f"failed: {path}: {reason}", err=True)
    if clips:
        summaries = summarize(clips)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as temporary:
            Path(temporary).write_text(render(clips, summaries), encoding="utf-8")
        if as_json:
            print_json({"report": str(target), "settings": [s.to_json() for s in summaries]})
        else:
            size = target.stat().st_size / 1e6
            click.echo(f"wrote {target}: {len(clips)} clip{'s' if len(clips) > 1 else ''}, {size:.1f} MB")
    finish(len(clips), len(failed))

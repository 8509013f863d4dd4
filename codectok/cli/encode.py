"""``codectok encode``: audio files to .ctk files."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from operator import attrgetter
from pathlib import Path

import click

from codectok.cli.console import device_option, handle_errors, open_tokenizer, tokenizer_options
from codectok.cli.help import command
from codectok.cli.jobs import report, run_jobs
from codectok.cli.paths import plan


@command()
@click.argument("audio", nargs=-1, type=click.Path())
@click.option(
    "-o", "--output", "out", required=True, type=click.Path(), help="Folder, or a .ctk file for a single input."
)
@click.option("--stdin", is_flag=True, help="Read one audio file from standard input, in place of AUDIO.")
@tokenizer_options
@device_option
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@handle_errors
def encode(
    audio: tuple[str, ...],
    out: str,
    stdin: bool,
    tokenizer: str | None,
    codebooks: int | None,
    bitrate: float | None,
    device: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Turn audio files into .ctk token files.

    AUDIO are files or folders. Files of a folder keep their path below it; two inputs for one output are refused.

    \b
    Examples:
      codectok encode a.flac b.mp3 -o tokens
      codectok encode corpus/ -o tokens-low --bitrate 1.5
      codectok encode a.flac -o a.ctk --tokenizer units
    """
    if stdin == bool(audio):
        raise click.UsageError("give AUDIO or --stdin" + (", not both" if stdin else ""))
    if stdin and (Path(out).suffix.lower() != ".ctk" or Path(out).is_dir()):
        raise click.UsageError(f"-o {out}: with --stdin give a name that ends in .ctk")
    from codectok.files.suffixes import AUDIO_SUFFIXES, UNREAD_SUFFIXES

    with _piped(audio, stdin) as sources:
        jobs = plan(
            sources,
            out,
            take=AUDIO_SUFFIXES,
            also=UNREAD_SUFFIXES,
            suffix=".ctk",
            file_suffixes=(".ctk",),
            overwrite=overwrite,
        )
        tok, k = open_tokenizer(tokenizer, codebooks, bitrate, device)
        from codectok.cli.streams import encode_file  # imports torch: not before a wrong path is refused

        report(run_jobs(tok, jobs, partial(encode_file, tok, k), "encode", attrgetter("target")), as_json)


@contextlib.contextmanager
def _piped(audio: tuple[str, ...], stdin: bool) -> Iterator[tuple[str, ...]]:
    """The audio, or standard input as a file, since formats have their facts anywhere in it."""
    if not stdin:
        yield audio
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stdin")
        with open(path, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield (str(path),)

"""``codectok decode``: .ctk files back to audio files."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from pathlib import Path

import click

from codectok.cli.console import handle_errors, open_tokenizer
from codectok.cli.help import command
from codectok.cli.jobs import report, run_jobs
from codectok.cli.paths import FileJob, plan
from codectok.errors import CodectokError

_FORMATS = ("wav", "flac")


@command()
@click.argument("tokens", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--output", "out", required=True, type=click.Path(), help="Folder, or a .wav or .flac file for one input."
)
@click.option(
    "--tokenizer",
    metavar="T",
    help="The one that made the tokens.  [default: if it ships, else speech]",
)
@click.option("--format", "audio_format", type=click.Choice(_FORMATS), help="Of the files.  [default: wav, or by OUT]")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@handle_errors
def decode(
    tokens: tuple[str, ...], out: str, tokenizer: str | None, audio_format: str | None, overwrite: bool, as_json: bool
) -> None:
    """Turn .ctk token files back into audio.

    TOKENS are .ctk files or folders. Files of a folder keep their path below it; two inputs for one output are refused.

    \b
    Examples:
      codectok decode tokens -o audio
      codectok decode a.ctk -o again.flac --tokenizer units
    """
    suffixes = tuple(f".{name}" for name in _FORMATS)
    given = Path(out).suffix.lower()
    if audio_format and given in suffixes and given != f".{audio_format}":
        raise click.UsageError(f"-o {out} and --format {audio_format} differ: give one of them")
    jobs = plan(
        tokens, out, take=(".ctk",), suffix=f".{audio_format or 'wav'}", file_suffixes=suffixes, overwrite=overwrite
    )
    tok, _ = open_tokenizer(tokenizer or _maker(jobs), None, None)
    if not tok.can_decode:
        raise CodectokError(f"{tok.name} cannot decode: it has no decoder or vocoder")
    from codectok.cli.streams import decode_file

    report(run_jobs(tok, jobs, partial(decode_file, tok), "decode", attrgetter("source")), as_json)


def _maker(jobs: list[FileJob]) -> str | None:
    """Name of the shipped tokenizer that made the first file, if one did: ``speech`` may have moved on since."""
    from codectok.shipped import maker_of
    from codectok.tokens.ctk_reader import CtkReader

    try:
        with CtkReader(jobs[0].source) as reader:
            return maker_of(reader.fingerprint)
    except (CodectokError, OSError):
        return None  # what is wrong with the file is said when its turn comes

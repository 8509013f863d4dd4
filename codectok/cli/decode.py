"""``codectok decode``: .ctk files, or a store, back to audio files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codectok.cli.console import device_option, handle_errors, open_tokenizer
from codectok.cli.help import command
from codectok.cli.jobs import JobsOutcome, report, run_jobs
from codectok.cli.paths import FileJob, plan
from codectok.errors import CodectokError, CodeRangeError

if TYPE_CHECKING:
    from codectok.tokenizer import Tokenizer

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
@click.option("--codebooks", type=click.IntRange(min=1), metavar="K", help="Use the first K codebooks.  [default: all]")
@device_option
@click.option("--format", "audio_format", type=click.Choice(_FORMATS), help="Of the files.  [default: wav, or by OUT]")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@handle_errors
def decode(
    tokens: tuple[str, ...],
    out: str,
    tokenizer: str | None,
    codebooks: int | None,
    device: str,
    audio_format: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Turn .ctk token files, or a token store, back into audio.

    TOKENS are .ctk files or folders. Files of a folder keep their path below it; two inputs for one output are refused.
    A store is given alone: each item becomes OUT/ID.wav, with the tokenizer that the store names.

    \b
    Examples:
      codectok decode tokens -o audio
      codectok decode store -o again --codebooks 1
      codectok decode a.ctk -o again.flac --tokenizer units
    """
    suffixes = tuple(f".{name}" for name in _FORMATS)
    given = Path(out).suffix.lower()
    if audio_format and given in suffixes and given != f".{audio_format}":
        raise click.UsageError(f"-o {out} and --format {audio_format} differ: give one of them")
    if stores := [path for path in tokens if (Path(path) / "store.json").is_file()]:
        if len(tokens) > 1:
            raise click.UsageError(f"{stores[0]} is a store, which is decoded alone: call once for each")
        speaker = partial(_speaker, device=device)
        report(_store(stores[0], out, tokenizer, speaker, codebooks, f".{audio_format or 'wav'}", overwrite), as_json)
    jobs = plan(
        tokens, out, take=(".ctk",), suffix=f".{audio_format or 'wav'}", file_suffixes=suffixes, overwrite=overwrite
    )
    tok = _speaker(tokenizer or _maker(jobs), device)
    from codectok.cli.streams import decode_file

    work = partial(decode_file, tok, num_codebooks=codebooks)
    report(run_jobs(tok, jobs, work, "decode", attrgetter("source")), as_json)


def _speaker(name: str | None, device: str) -> Tokenizer:
    tok, _ = open_tokenizer(name, None, None, device)
    if not tok.can_decode:
        raise CodectokError(f"{tok.name} cannot decode: it has no decoder or vocoder")
    return tok


def _store(
    folder: str,
    out: str,
    tokenizer: str | None,
    speaker: Callable[[str | None], Tokenizer],
    codebooks: int | None,
    suffix: str,
    overwrite: bool,
) -> JobsOutcome:
    if Path(out).suffix.lower() in {f".{name}" for name in _FORMATS} or Path(out).is_file():
        raise click.UsageError(f"-o {out}: a store is decoded into a folder")
    from codectok.cli.decode_store import decode_store
    from codectok.shipped import made_by
    from codectok.store import open_store

    store = open_store(folder)
    tok = speaker(tokenizer or made_by(store.fingerprint, store.info.tokenizer))
    if codebooks is not None and codebooks > len(store.info.codebook_sizes):
        raise CodeRangeError(f"{codebooks} codebooks asked for, {folder} has {len(store.info.codebook_sizes)}")
    return decode_store(tok, store, Path(out), suffix, codebooks, overwrite)


def _maker(jobs: list[FileJob]) -> str | None:
    """Name of the shipped tokenizer that made the first file, if one did: ``speech`` may have moved on since."""
    from codectok.shipped import maker_of
    from codectok.tokens.ctk_reader import CtkReader

    try:
        with CtkReader(jobs[0].source) as reader:
            return maker_of(reader.fingerprint)
    except (CodectokError, OSError):
        return None  # what is wrong with the file is said when its turn comes

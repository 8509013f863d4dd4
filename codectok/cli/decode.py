"""``codectok decode``: .ctk files back to audio files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codectok.cli.common import Progress, handle_errors, open_tokenizer
from codectok.cli.jobs import Done, report, run_jobs
from codectok.cli.paths import Job, plan
from codectok.errors import CodectokError

if TYPE_CHECKING:
    from codectok.tokenizer import Tokenizer

_FORMATS = ("wav", "flac")


@click.command()
@click.argument("tokens", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--output", "out", required=True, type=click.Path(), help="Folder, or a .wav or .flac file for one input."
)
@click.option("--tokenizer", metavar="T", help="The one that made the tokens.  [default: speech]")
@click.option("--format", "audio_format", type=click.Choice(_FORMATS), help="Of the files.  [default: wav, or by OUT]")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@handle_errors
def decode(
    tokens: tuple[str, ...], out: str, tokenizer: str | None, audio_format: str | None, overwrite: bool, as_json: bool
) -> None:
    """Turn .ctk token files back into audio.

    TOKENS are .ctk files or folders. Files of a folder keep their path below it; two inputs for one output are refused.
    """
    suffixes = tuple(f".{name}" for name in _FORMATS)
    given = Path(out).suffix.lower()
    if audio_format and given in suffixes and given != f".{audio_format}":
        raise click.UsageError(f"-o {out} and --format {audio_format} differ: give one of them")
    jobs = plan(
        tokens, out, take=(".ctk",), suffix=f".{audio_format or 'wav'}", file_suffixes=suffixes, overwrite=overwrite
    )
    tok, _ = open_tokenizer(tokenizer, None, None)
    if not tok.can_decode:
        raise CodectokError(f"{tok.name} cannot decode: it has no decoder or vocoder")
    report(run_jobs(jobs, partial(_decode_file, tok), "decode"), as_json)


def _decode_file(tok: Tokenizer, job: Job, bar: Progress) -> Done:
    """Decode one file; causal tokenizers never hold more than a block of it."""
    from codectok.audio import write_audio
    from codectok.tokens import Tokens

    size = job.source.stat().st_size
    if tok.causal:
        num_samples, count, k = _stream(tok, job, bar)
    else:
        tokens = Tokens.load(job.source)
        write_audio(job.target, tok.decode(tokens), tok.sample_rate)
        num_samples, count, k = tokens.num_samples, tokens.codes.numel(), tokens.num_codebooks
    seconds = num_samples / tok.sample_rate
    return Done(job.target, seconds, count, tok.bitrate(k) * 1000 * seconds, size)


def _stream(tok: Tokenizer, job: Job, bar: Progress) -> tuple[int, int, int]:
    """Block by block into the file; returns samples, codes and codebooks."""
    from codectok.audio import AudioWriter
    from codectok.ctk import CtkReader

    decoder, written, count, k = tok.stream_decoder(), 0, 0, 1
    with CtkReader(job.source) as reader:
        tok.check(reader.header)
        with AudioWriter(job.target, tok.sample_rate) as writer:
            for piece in reader.blocks():
                # The frames that hold the last samples may reach past them.
                samples = decoder.push(piece)[: reader.num_samples - written]
                writer.write(samples)
                written += len(samples)
                count += piece.codes.numel()
                k = piece.num_codebooks
                bar.note(f"{job.source.name} {written / tok.sample_rate:.0f} s")
            writer.write(decoder.flush()[: reader.num_samples - written])
        return reader.num_samples, count, k

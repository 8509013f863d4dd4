"""``codectok encode``: audio files to .ctk files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from codectok.cli.common import Progress, handle_errors, open_tokenizer, tokenizer_options
from codectok.cli.jobs import Done, report, run_jobs
from codectok.cli.paths import Job, plan

if TYPE_CHECKING:
    from codectok.tokenizer import Tokenizer


@click.command()
@click.argument("audio", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--output", "out", required=True, type=click.Path(), help="Folder, or a .ctk file for a single input."
)
@tokenizer_options
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@handle_errors
def encode(
    audio: tuple[str, ...],
    out: str,
    tokenizer: str | None,
    codebooks: int | None,
    bitrate: float | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Turn audio files into .ctk token files.

    AUDIO are files or folders. Files of a folder keep their path below it; two inputs for one output are refused.
    """
    from codectok.corpus.manifest import AUDIO_SUFFIXES

    jobs = plan(audio, out, take=AUDIO_SUFFIXES, suffix=".ctk", file_suffixes=(".ctk",), overwrite=overwrite)
    tok, k = open_tokenizer(tokenizer, codebooks, bitrate)
    report(run_jobs(jobs, partial(_encode_file, tok, k), "encode"), as_json)


def _encode_file(tok: Tokenizer, k: int, job: Job, bar: Progress) -> Done:
    """Encode one file; causal tokenizers never hold more than a block of it."""
    if tok.causal:
        num_samples, count = _stream(tok, k, job, bar)
    else:
        tokens = tok.encode(job.source, num_codebooks=k)
        tokens.save(job.target)
        num_samples, count = tokens.num_samples, tokens.codes.numel()
    seconds = num_samples / tok.sample_rate
    return Done(job.target, seconds, count, tok.bitrate(k) * 1000 * seconds, job.target.stat().st_size)


def _stream(tok: Tokenizer, k: int, job: Job, bar: Progress) -> tuple[int, int]:
    """Block by block into the file; returns samples at the tokenizer's rate, and codes."""
    from codectok.ctk import CtkWriter

    num_samples = count = 0
    with CtkWriter(job.target, tok, k) as writer:
        for piece in tok.encode_blocks(job.source, k):
            writer.write(piece)
            num_samples += piece.num_samples
            count += piece.codes.numel()
            bar.note(f"{job.source.name} {num_samples / tok.sample_rate:.0f} s")
    return num_samples, count

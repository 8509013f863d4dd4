"""Running a command over many files: good ones are done, bad ones collected, and the end says what happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from codectok.cli.console import describe, finish, print_json, print_table
from codectok.cli.paths import FileJob
from codectok.cli.progress import progress
from codectok.errors import CodectokError
from codectok.files.full_disk import is_hopeless
from codectok.stops import keeping

if TYPE_CHECKING:
    from codectok.cli.streams import Streamed
    from codectok.tokenizer import Tokenizer


@dataclass(frozen=True)
class FileDone:
    """One finished file.

    Attributes:
        target: what was written.
        seconds: of audio.
        tokens: codes.
        nominal_bits: of the codes.
        token_bytes: of the .ctk file; None where tokens have no file of their own.
    """

    target: Path
    seconds: float
    tokens: int
    nominal_bits: float
    token_bytes: int | None = None


def _figures(tok: Tokenizer, passed: Streamed, job: FileJob, token_file: Path) -> FileDone:
    """Of one file that went through a tokenizer, in either direction."""
    seconds = passed.num_samples / tok.sample_rate
    bits = tok.bitrate(passed.num_codebooks) * 1000 * seconds
    return FileDone(job.target, seconds, passed.num_codebooks * passed.num_columns, bits, token_file.stat().st_size)


@dataclass
class JobsOutcome:
    """What came of some jobs; ``wall`` in seconds."""

    done: list[FileDone] = field(default_factory=list)
    failed: list[tuple[Path | str, str]] = field(default_factory=list)
    wall: float = 0.0


def run_jobs(
    tok: Tokenizer,
    jobs: Sequence[FileJob],
    work: Callable[..., Streamed],
    label: str,
    token_file: Callable[[FileJob], Path],
) -> JobsOutcome:
    """Do every job; those that fail by a deliberate error, or cannot be read or written, are collected.

    Args:
        tok: the tokenizer that files go through.
        jobs: the files.
        work: ``work(source, target, tell)``, see :mod:`codectok.cli.streams`.
        label: of the progress bar.
        token_file: which of a job's files holds the tokens; its name need not say so.

    Raises:
        OSError: the disk is full or read-only.
    """
    outcome = JobsOutcome()
    start = time.perf_counter()

    def kept() -> str:
        return f"{len(outcome.done)} of {len(jobs)} files are written, each whole: give the others, or --overwrite"

    with keeping(kept), progress(len(jobs), label) as bar:
        for job in jobs:
            name = job.source.name
            bar.note(name)
            try:
                passed = work(job.source, job.target, lambda seconds, name=name: bar.note(f"{name} {seconds:.0f} s"))
                outcome.done.append(_figures(tok, passed, job, token_file(job)))
            except (CodectokError, OSError) as error:
                give_up(error)
                outcome.failed.append((job.source, describe(error)))
            bar.advance()
    outcome.wall = time.perf_counter() - start
    return outcome


def give_up(error: Exception) -> None:
    """Raise an error that the next file would have as well: the disk is full or read-only."""
    if is_hopeless(error):
        raise error


def report(outcome: JobsOutcome, as_json: bool) -> NoReturn:
    """List failures on stderr, name what was written, print the totals, and leave with the exit status."""
    for source, reason in outcome.failed:
        click.echo(f"failed: {source}: {reason}", err=True)
    totals = _totals(outcome)
    if as_json:
        failed = [{"file": str(source), "reason": reason} for source, reason in outcome.failed]
        print_json({"written": [str(d.target) for d in outcome.done], "failed": failed, **totals})
    elif outcome.done:
        last = outcome.done[-1].target
        more = f" and {len(outcome.done) - 1} more" if len(outcome.done) > 1 else ""
        print_table(f"wrote {last}{more}", [{_HEADS[key]: value for key, value in totals.items()}])
    finish(len(outcome.done), len(outcome.failed))


_HEADS = {
    "files": "files",
    "seconds": "seconds",
    "token_rate": "tokens/s",
    "bitrate": "kbit/s",
    "actual_bitrate": "kbit/s on disk",
    "times_real_time": "x real time",
}


def _totals(outcome: JobsOutcome) -> dict[str, float | int | None]:
    """Figures over all finished files; rates are per second of audio."""
    seconds = sum(d.seconds for d in outcome.done)
    stored = [d.token_bytes for d in outcome.done if d.token_bytes is not None]
    return {
        "files": len(outcome.done),
        "seconds": seconds,
        "token_rate": sum(d.tokens for d in outcome.done) / seconds if seconds else None,
        "bitrate": sum(d.nominal_bits for d in outcome.done) / seconds / 1000 if seconds else None,
        "actual_bitrate": sum(stored) * 8 / seconds / 1000 if seconds and stored else None,
        "times_real_time": seconds / outcome.wall if outcome.wall else None,
    }

"""Which files a command reads and which it writes, decided before anything is written."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from codectok.files.suffixes import AUDIO_SUFFIXES


@dataclass(frozen=True)
class FileJob:
    """One file to read and the one to write from it."""

    source: Path
    target: Path


def plan(
    inputs: Sequence[str],
    out: str,
    *,
    take: Collection[str],
    suffix: str,
    file_suffixes: Collection[str],
    overwrite: bool,
    also: Collection[str] = (),
) -> list[FileJob]:
    """The jobs of a command with inputs and ``-o OUT``.

    A file goes to OUT under its own name; files in a folder keep their path below that folder. OUT is a file where
    there is one input file and OUT ends in one of ``file_suffixes``.

    Args:
        inputs: files and folders; of folders, the files that end in one of ``take``, at any depth.
        out: the value of -o.
        take: suffixes in lower case, with the dot.
        suffix: of the files to write into a folder.
        file_suffixes: of -o, that make it a file.
        overwrite: allow targets that exist.
        also: suffixes of files of a folder that fail when their turn comes: left out, they would not be missed.

    Raises:
        click.UsageError: an empty folder, two inputs for one output, an output that exists or is an input, the name
            of a file of another kind.
    """
    found = [pair for item in inputs for pair in _below(Path(item), take, also)]
    target = Path(out)
    if target.suffix.lower() in file_suffixes and not target.is_dir():
        if len(inputs) != 1 or Path(inputs[0]).is_dir():
            raise click.UsageError(f"-o {out} names a file, but there can be several to write: give a folder")
        jobs = [FileJob(found[0][0], target)]
    else:
        if target.exists() and not target.is_dir():
            endings = " or ".join(file_suffixes)
            raise click.UsageError(f"-o {out} is a file: give a folder, or a name ending in {endings}")
        if not target.exists() and target.suffix.lower() in {".ctk", *AUDIO_SUFFIXES}:
            endings = " or ".join(file_suffixes)
            raise click.UsageError(
                f"-o {out} is no kind of file written here: give a folder, or a name ending in {endings}"
            )
        jobs = [FileJob(source, target / _renamed(name, take, suffix)) for source, name in found]
    _refuse_collisions(jobs, overwrite)
    return jobs


def expand(inputs: Sequence[str], take: Collection[str], *, also: Collection[str] = ()) -> list[Path]:
    """The files meant by some inputs, as in :func:`plan`.

    Raises:
        click.UsageError: an empty folder.
    """
    return [path for item in inputs for path, _ in _below(Path(item), take, also)]


def _below(item: Path, take: Collection[str], also: Collection[str]) -> list[tuple[Path, Path]]:
    """Each file meant by one input, with its path relative to OUT."""
    if not item.is_dir():
        return [(item, Path(item.name))]
    files = []
    for root, folders, names in os.walk(item):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        files += [
            Path(root, n) for n in sorted(names) if not n.startswith(".") and Path(n).suffix.lower() in (*take, *also)
        ]
    if not files:
        raise click.UsageError(f"no {' '.join(sorted(take))} files in folder {item}")
    return [(path, path.relative_to(item)) for path in files]


def _renamed(name: Path, take: Collection[str], suffix: str) -> Path:
    """Replace a known suffix; keep an unknown one, which may be part of the name (utt.1, utt.2)."""
    return name.with_suffix(suffix) if name.suffix.lower() in take else name.with_name(name.name + suffix)


def _refuse_collisions(jobs: Sequence[FileJob], overwrite: bool) -> None:
    sources = {os.path.realpath(job.source) for job in jobs}
    seen: dict[str, Path] = {}
    for job in jobs:
        # Folded, since a.wav and A.wav are one file on some disks and a run must not depend on the disk.
        key = os.path.realpath(job.target).casefold()
        if key in seen:
            raise click.UsageError(
                f"{seen[key]} and {job.source} would both be written to {job.target}: rename one, "
                "or give the folder above them, whose subfolders are kept"
            )
        seen[key] = job.source
        if os.path.realpath(job.target) in sources:
            raise click.UsageError(f"{job.target} is an input: choose another -o")
        if job.target.exists() and not overwrite:
            raise click.UsageError(f"{job.target} exists: choose another -o, or allow it with --overwrite")

"""A whole store back to audio files, each named after the id of its item."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codectok.audio import write_audio
from codectok.cli.console import describe
from codectok.cli.jobs import FileDone, JobsOutcome, give_up
from codectok.cli.progress import progress
from codectok.errors import CodectokError, FormatError
from codectok.files.inside import id_path
from codectok.stops import keeping
from codectok.tokens import Tokens

if TYPE_CHECKING:
    from codectok.store import Store
    from codectok.tokenizer import Tokenizer

Found = tuple[str, Tokens | CodectokError]


def decode_store(
    tok: Tokenizer, store: Store, out: Path, suffix: str, num_codebooks: int | None, overwrite: bool
) -> JobsOutcome:
    """Write OUT/ID.wav for each item of a store; those that cannot be decoded are collected.

    Args:
        tok: the tokenizer of the store.
        store: of any format.
        out: folder; paths below it are made of ids by :func:`~codectok.files.inside.id_path`.
        suffix: of the files, which decides their format.
        num_codebooks: use the first K of them; None: all.
        overwrite: replace files.

    Raises:
        click.UsageError: a file exists, and is not to be replaced; nothing is written.
        OSError: the disk is full or read-only.
    """
    targets = {row.id: _target(out, row.id, suffix) for row in store.index()}
    if not overwrite and (there := next((t for t in targets.values() if t.exists()), None)):
        raise click.UsageError(f"{there} exists: choose another -o, or allow it with --overwrite")
    outcome, start = JobsOutcome(), time.perf_counter()
    written: dict[str, str] = {}

    def kept() -> str:
        return f"{len(outcome.done)} of {len(store)} files are written, each whole: go on with --overwrite"

    with keeping(kept), progress(len(store), "decode") as bar:
        for id, found in _items(store):
            bar.note(id)
            target = targets.get(id) or _target(out, id, suffix)
            try:
                if isinstance(found, CodectokError):
                    raise found
                # Folded, since a.wav and A.wav are one file on some disks and a run must not depend on the disk.
                if (other := written.setdefault(str(target).casefold(), id)) != id:
                    raise FormatError(f"{target} is the file of {other!r} on some disks: rename one of the two")
                tokens = found if num_codebooks is None else found.first(num_codebooks)
                target.parent.mkdir(parents=True, exist_ok=True)
                write_audio(target, tok.decode(tokens), tok.sample_rate)
                count = tokens.num_codebooks * tokens.codes.shape[1]
                outcome.done.append(FileDone(target, tokens.duration, count, tokens.bitrate * 1000 * tokens.duration))
            except (CodectokError, OSError) as error:
                give_up(error)
                outcome.failed.append((id, describe(error)))
            bar.advance()
    outcome.wall = time.perf_counter() - start
    return outcome


def _target(out: Path, id: str, suffix: str) -> Path:
    path = out / id_path(id)
    return path.with_name(path.name + suffix)


def _items(store: Store) -> Iterator[Found]:
    """Tokens by id, shard after shard; where a shard is damaged, the error for each id that it still owes."""
    ids = [row.id for row in store.index()]
    first = 0
    for shard, entry in enumerate(store.shards):
        owed = dict.fromkeys(ids[first : first + entry["rows"]])
        first += entry["rows"]
        try:
            for id, tokens in store.read_shard(shard):
                owed.pop(id, None)
                yield id, tokens
        except CodectokError as error:
            yield from ((id, error) for id in owed)

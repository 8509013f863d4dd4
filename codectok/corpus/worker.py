"""What a worker does with each task of a corpus, in a process of its own or in this one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import Any

from codectok.corpus.job import TokenizeJob
from codectok.corpus.reading import measure, readers
from codectok.corpus.steps import BatchDone, BatchEncoder, Begun
from codectok.errors import CodectokError, MissingPackageError
from codectok.items.decoded import forget_decoded
from codectok.items.item import Item
from codectok.processes import Now, Report, Work
from codectok.tokenizer import Tokenizer


@dataclass
class WorkerTask:
    """Items for one worker.

    Attributes:
        kind: "measure", "encode" or "stream".
        shard: that the items belong to.
        indices: of the items in it.
        items: themselves.
        deaths: of workers that had this task.
    """

    kind: str
    shard: int
    indices: Sequence[int]
    items: Sequence[Item]
    deaths: int = 0


class Encode(Work[WorkerTask, Any]):
    """Measures items, which gives (lengths, seconds that it took), and encodes batches, which gives ``BatchDone``.

    Audio is read on another thread (or in processes of its own), so that the model never waits for it.

    Args:
        job: what to do.
        tokenizer: the job's; None: opened by its name.
        processes: that read audio; 0 for a thread.
    """

    def __init__(self, job: TokenizeJob, tokenizer: Tokenizer | None = None, processes: int = 0) -> None:
        self.job, self.tokenizer, self.processes = job, tokenizer, processes

    def open(self) -> None:
        """Open the tokenizer and begin to read.

        Raises:
            FingerprintError: another one has taken its name.
            UnknownTokenizerError: there is none of that name.
        """
        tokenizer = self.job.open() if self.tokenizer is None else self.tokenizer
        self._open = contextlib.ExitStack()
        self._readers = self._open.enter_context(readers(self.processes))
        self._encoder = BatchEncoder(tokenizer, self.job.num_codebooks, self.job.dedup, self._readers, self.job.strict)

    def begin(self, task: WorkerTask) -> Begun | Now:
        """Measure, or have a batch read."""
        if task.kind == "measure":
            return Now(measure(task.items))
        try:
            return self._encoder.begin(task.items, task.kind == "stream")
        except BrokenExecutor:
            os._exit(70)

    def finish(self, begun: Begun, report: Report) -> BatchDone:
        """Encode a batch.

        Raises:
            CodectokError: no item can succeed.
        """
        try:
            return self._encoder.finish(begun)
        except MissingPackageError:
            raise
        except ImportError as error:
            raise CodectokError(f"the tokenizer needs a package that is not installed ({error}): install it") from error
        except BrokenExecutor:  # a reading process died: as this one does, so that it is found out of which item
            os._exit(70)

    def close(self) -> None:
        """End the reading."""
        self._open.close()
        forget_decoded()

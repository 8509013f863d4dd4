"""A worker process: its own tokenizer on one torch thread, fed through a pipe.

Tasks arrive on one thread and are read on another (or in processes of their own), so that the model never waits for
audio. The pipe's end is the worker's end: nobody has to tell it that the main process was killed.
"""

from __future__ import annotations

import os
import pickle
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a worker sets its threads before it imports numpy and torch
    from codectok.corpus.steps import BatchEncoder

READY, REFUSED, FATAL = "ready", "refused", "fatal"
"""Messages about the worker itself; all others begin with the number of a task."""


def main(pipe: Connection, payload: bytes, processes: int) -> None:
    """Serve tasks until the pipe ends.

    In come (number, kind, items), the kind "measure", "encode" or "stream". Out go (number, (lengths, seconds)) or
    (number, Done), and before them (READY,) or (REFUSED, kind, message); (FATAL, message) where no item could
    succeed.

    Args:
        pipe: to the main process.
        payload: pickled (Job, its tokenizer or None).
        processes: that read audio; 0 for a thread.
    """
    send = _sender(pipe)
    arrived: queue.SimpleQueue[tuple[int, str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, arrived), daemon=True).start()
    try:
        from codectok.corpus.job import one_thread
        from codectok.corpus.reading import readers
        from codectok.corpus.steps import BatchEncoder

        job, tokenizer = pickle.loads(payload)
        if tokenizer is None:
            tokenizer = job.open()
    except Exception as error:
        send((REFUSED, type(error).__name__, " ".join(str(error).split())))
        return
    with one_thread(), readers(processes) as pool:
        encoder = BatchEncoder(tokenizer, job.num_codebooks, job.dedup, pool)
        begun: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        threading.Thread(target=_begin, args=(arrived, encoder, begun, send, pool), daemon=True).start()
        send((READY,))
        while True:
            number, batch = begun.get()
            try:
                send((number, encoder.finish(batch)))
            except ImportError as error:
                send((FATAL, f"the tokenizer needs a package that is not installed ({error}): install it"))
            except Exception:  # a reading process died: as this one does, so that the main process finds out which item
                os._exit(70)


def _receive(pipe: Connection, arrived: queue.SimpleQueue[tuple[int, str, Any]]) -> None:
    try:
        while True:
            arrived.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(0)


def _begin(
    arrived: queue.SimpleQueue[tuple[int, str, Any]],
    encoder: BatchEncoder,
    begun: queue.SimpleQueue[tuple[int, Any]],
    send: Callable[[Any], None],
    pool: Executor,
) -> None:
    from codectok.corpus.reading import measure

    while True:
        number, kind, items = arrived.get()
        if kind == "measure":
            _when_done(pool.submit(measure, items), number, send)
        else:
            begun.put((number, encoder.begin(items, kind == "stream")))


def _when_done(future: Future[tuple[list[float], float]], number: int, send: Callable[[Any], None]) -> None:
    def tell(done: Future[tuple[list[float], float]]) -> None:
        if done.exception() is not None:
            os._exit(70)
        send((number, done.result()))

    future.add_done_callback(tell)


def _sender(pipe: Connection) -> Callable[[Any], None]:
    lock = threading.Lock()

    def send(message: Any) -> None:
        try:
            with lock:
                pipe.send(message)
        except OSError:  # the main process is gone
            os._exit(0)

    return send

"""A worker process: tasks arrive through a pipe, whose end is the worker's end, so that none outlives a killed parent.

Tasks arrive on one thread and are begun on another, so that :meth:`~codectok.processes.work.Work.finish` never waits
for what could be done ahead.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from codectok.log import shown_here
from codectok.processes.settings import one_thread
from codectok.processes.work import Now, Raised, Work

READY, REFUSED, SHARE, DONE = "ready", "refused", "share", "done"
"""Messages of a worker: (kind, number of the task, value)."""
Message = tuple[str, int, Any]
Tasks = queue.SimpleQueue[tuple[int, Any]]


def serve(pipe: Connection, payload: bytes, environment: Mapping[str, str]) -> None:
    """Do tasks until the pipe ends.

    Args:
        pipe: to the main process.
        payload: the pickled work.
        environment: of the main process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.clear()  # a server that was started earlier forked this process
    os.environ |= environment
    send = _sender(pipe)
    arrived: Tasks = queue.SimpleQueue()
    begun: Tasks = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, arrived), daemon=True).start()
    with one_thread(), shown_here():
        try:
            work: Work[Any, Any] = pickle.loads(payload)
            work.open()
        except Exception as error:
            send((REFUSED, 0, portable(error)))
            return
        threading.Thread(target=_begin, args=(work, arrived, begun, send), daemon=True).start()
        send((READY, 0, None))
        while True:
            number, value = begun.get()
            if not isinstance(value, Raised):
                try:
                    value = work.finish(value, lambda share, n=number: send((SHARE, n, share)))  # type: ignore[misc]
                except Exception as error:
                    value = Raised(portable(error))
            send((DONE, number, value))


def _receive(pipe: Connection, arrived: Tasks) -> None:
    try:
        while True:
            arrived.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(0)


def _begin(work: Work[Any, Any], arrived: Tasks, begun: Tasks, send: Callable[[Message], None]) -> None:
    while True:
        number, task = arrived.get()
        try:
            value = work.begin(task)
        except Exception as error:
            value = Raised(portable(error))
        if isinstance(value, Now):
            send((DONE, number, value.result))
        else:
            begun.put((number, value))


def _sender(pipe: Connection) -> Callable[[Message], None]:
    lock = threading.Lock()

    def send(message: Message) -> None:
        try:
            data = pickle.dumps(message)
        except Exception as error:  # a result that cannot be sent
            data = pickle.dumps((message[0], message[1], Raised(portable(error))))
        try:
            with lock:
                pipe.send_bytes(data)
        except OSError:  # the main process is gone
            os._exit(0)

    return send


def portable(error: Exception) -> Exception:
    """The error with the worker's traceback as a note, or, where its class cannot be sent, one that says as much."""
    error.add_note(f"in a worker process:\n{traceback.format_exc()}")
    try:
        return pickle.loads(pickle.dumps(error))  # without its frames, which hold what was being worked on
    except Exception:
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        plain.__notes__ = error.__notes__
        return plain

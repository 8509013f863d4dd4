"""One logger, ``codectok``, with a child for each module: downloads, what is gone on with, and ways round.

It is silent unless a program asks for it, with a handler and a level of Python's ``logging``, or a command with ``-v``.
INFO is what a run does beside its work; WARNING is what it found wrong and could mend.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

NAME = "codectok"
LEVEL = "CODECTOK_LOG_LEVEL"
"""What tells worker processes how much to write."""

logging.getLogger(NAME).addHandler(logging.NullHandler())


def logger(module: str) -> logging.Logger:
    """The logger of a module, by its ``__name__``, below that of the project whatever package it is of."""
    short = module.removeprefix("codectok_")
    return logging.getLogger(short if short.partition(".")[0] == NAME else f"{NAME}.{short}")


def tell_hub(log: logging.Logger, name: str | os.PathLike[str]) -> None:
    """Say that a model is fetched, where ``name`` is no folder of this machine."""
    if not Path(name).is_dir():
        log.info("%s is no folder here: it comes from the hub, or from what was fetched before", os.fspath(name))


@contextlib.contextmanager
def shown(level: int, write: Callable[[str], object]) -> Iterator[None]:
    """Write what is logged, here and in worker processes, a line each, for the length of a with block.

    Args:
        level: the least that is written, such as ``logging.INFO``.
        write: takes a line without its end.
    """
    root, handler = logging.getLogger(NAME), _Lines(write)
    before, told, os.environ[LEVEL] = root.level, os.environ.get(LEVEL), str(level)
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield
    finally:
        if told is None:
            os.environ.pop(LEVEL, None)
        else:
            os.environ[LEVEL] = told
        root.setLevel(before)
        root.removeHandler(handler)


def shown_here() -> contextlib.AbstractContextManager[None]:
    """In a worker: write on stderr what the main process writes."""
    level = os.environ.get(LEVEL, "")
    return shown(int(level), _to_stderr) if level.isdecimal() else contextlib.nullcontext()


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Lines(logging.Handler):
    def __init__(self, write: Callable[[str], object]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record in one line."""
        line = " ".join(record.getMessage().split())
        self._write(line if record.levelno < logging.WARNING else f"{record.levelname.capitalize()}: {line}")

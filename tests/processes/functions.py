"""What workers are given to do in tests: importable by them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from codectok.errors import FormatError
from codectok.log import logger
from codectok.processes import Now, Report, Work


def log_item(number: int) -> int:
    logger("codectok.tests").info("item %d", number)
    return number


def square(number: int) -> int:
    time.sleep(0.02 * (number % 3))
    return number * number


def threads_and_process(_: int) -> tuple[int, str, int, str]:
    import torch

    return torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], os.getpid(), os.environ.get("CODECTOK_TEST", "")


def refuse_three(number: int) -> int:
    if number == 3:
        raise FormatError("three is refused: give another number")
    return number


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def not_picklable(number: int) -> object:
    return lambda: number


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def pid_then_sleep(folder: Path) -> None:
    (folder / f"{os.getpid()}.pid").touch()
    time.sleep(100)


class Halves(Work[int, float]):
    """Begins with the number, ends odd ones at once, and tells half way."""

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses

    def open(self) -> None:
        if self.refuses:
            raise FormatError("nothing can be opened: give another folder")
        self.opened = True

    def begin(self, task: int) -> int | Now:
        return Now(-1.0) if task % 2 else task

    def finish(self, begun: int, report: Report) -> float:
        assert self.opened
        report(0.5)
        return begun / 2


class Stillborn(Work[int, int]):
    """Dies as it is opened."""

    def open(self) -> None:
        os._exit(3)


def hold_the_interpreter(seconds: int) -> None:
    """Sleep in C without giving other threads of Python a turn, as native code that hangs does."""
    import ctypes

    ctypes.PyDLL(None).sleep(seconds)


def is_imported(module: str) -> bool:
    import sys

    return module in sys.modules


def crash_where_loud(rate: int, reference: object, estimate: object, mode: str) -> float:
    """In place of PESQ: reads from address 0 where a sample is over 0.9."""
    import ctypes

    import numpy as np

    if np.abs(np.asarray(reference)).max() > 0.9:
        ctypes.string_at(0)
    return 2.5

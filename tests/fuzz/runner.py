"""Mutants in a child process, so that a crash or a hang in a library costs one of them."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import tempfile
import time
import traceback
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from codectok.errors import CodectokError
from codectok.files.limits import MAX_CODES
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

SECONDS = 1.0
"""Of processor time, for one mutant."""
WALL_SECONDS = 30.0
"""After which a mutant hangs, however busy the machine is."""
GROWTH = 256 << 20
"""Bytes of memory that a mutant may add."""
SHOWN = 20
"""Findings that are printed."""


class Tally:
    """What came of the mutants, shared with the child process."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.next, self.read, self.refused, self.findings = (context.Value("q", 0) for _ in range(4))
        self.slowest, self.grown = context.Value("d", 0.0), context.Value("q", 0)
        self.begun = context.Value("d", 0.0)

    def line(self) -> str:
        """One line of figures."""
        return (
            f"{self.next.value} mutants: {self.read.value} read, {self.refused.value} refused, {self.findings.value} "
            f"findings; slowest {self.slowest.value:.2f} s, memory grew by {self.grown.value >> 20} MiB"
        )


def one(target: Target, seed: int, number: int) -> tuple[bool, str | None]:
    """Make and use one mutant: whether it was refused, and what is wrong."""
    target.change(random.Random(f"{target.name} {seed} {number}"))
    try:
        target.use()
    except CodectokError as error:
        return True, f"a message of {str(error).count(chr(10)) + 1} lines" if "\n" in str(error) else None
    except Exception:
        return False, traceback.format_exc()
    return False, None


def work(name: str, seed: int, last: int | None, until: float, tally: Tally) -> None:
    """Mutants from ``tally.next`` on, in the child process."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"over {WALL_SECONDS:g} s")

    os.environ[MAX_CODES[0]] = str(2**24)  # the limit is tested, not the memory of this machine
    os.environ["HF_HUB_OFFLINE"] = "1"
    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with tempfile.TemporaryDirectory() as folder:
        target = TARGETS[name](Path(folder))
        target.use()  # whole files are read; what this imports counts for no mutant
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 4 * GROWTH, resource.RLIM_INFINITY))
        while time.time() < until and (last is None or tally.next.value < last):
            number, started = tally.next.value, time.process_time()
            tally.begun.value = time.time()
            signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
            try:
                refused, wrong = one(target, seed, number)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            took = time.process_time() - started
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - peak
            if wrong is None and took > SECONDS:
                wrong = f"it took {took:.2f} s"
            if wrong is None and grown - tally.grown.value > GROWTH:
                wrong = f"it took {grown - tally.grown.value >> 20} MiB"
            tally.slowest.value = max(tally.slowest.value, took)
            tally.grown.value = max(tally.grown.value, grown)
            tally.next.value += 1
            count(tally.findings if wrong else tally.refused if refused else tally.read)
            if wrong and tally.findings.value <= SHOWN:
                print(f"mutant {number} of {name}, seed {seed}: {wrong}", flush=True)


def count(value: Synchronized[int]) -> None:
    """One more."""
    value.value += 1


def run(name: str, seed: int, first: int, last: int | None, minutes: float) -> Tally:
    """Mutants ``first`` up to ``last`` of a target, or for some minutes."""
    tally = Tally()
    tally.next.value = first
    until = time.time() + 60 * minutes
    context = multiprocessing.get_context("spawn")
    while time.time() < until and (last is None or tally.next.value < last):
        tally.begun.value = time.time() + WALL_SECONDS  # it begins with its imports
        child = context.Process(target=work, args=(name, seed, last, until, tally))
        child.start()
        while child.is_alive():
            child.join(1)
            if time.time() - tally.begun.value > 2 * WALL_SECONDS:  # in a library that answers no signal
                child.kill()
                child.join()
        if child.exitcode:
            print(f"mutant {tally.next.value} of {name}, seed {seed}: ended the process ({child.exitcode})", flush=True)
            tally.next.value += 1
            count(tally.findings)
            if tally.findings.value > SHOWN:
                break
    return tally

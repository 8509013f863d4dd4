"""Calls in a worker of their own: a crash or a hang costs one call, and nothing outlives the caller."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from codectok.processes import CallDied, apart
from tests.processes import functions


def test_results_and_errors_come_back_from_one_process_that_stays() -> None:
    first = apart(os.getpid)
    assert apart(os.getpid) == first != os.getpid()
    assert apart(pow, 2, 10) == 1024
    with pytest.raises(ZeroDivisionError):
        apart(divmod, 1, 0)
    assert apart(os.getpid) == first


def test_a_crash_costs_one_call() -> None:
    first = apart(os.getpid)
    for crash, arguments, reason in ((ctypes.string_at, (0,), "SIGSEGV"), (os.abort, (), "SIGABRT")):
        with pytest.raises(CallDied, match=reason):
            apart(crash, *arguments)
        assert apart(os.getpid) not in (first, os.getpid())


@pytest.mark.parametrize("hang", [time.sleep, functions.hold_the_interpreter])
def test_a_hang_costs_one_call(hang: Callable[[int], None]) -> None:
    start = time.monotonic()
    with pytest.raises(CallDied, match="more than 1 s"):
        apart(hang, 60, limit=1.0)
    assert time.monotonic() - start < 10
    assert apart(len, "abc") == 3


def test_what_a_call_prints_is_not_taken_for_an_answer() -> None:
    assert apart(print, "printed" * 1000) is None
    assert apart(os.system, "echo printed") == 0
    assert apart(len, "abc") == 3


def test_a_call_that_was_interrupted_leaves_no_answer_for_the_next() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            apart(functions.hold_the_interpreter, 60)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert apart(len, "abc") == 3


def test_a_worker_is_deaf_to_ctrl_c() -> None:
    pid = apart(os.getpid)
    os.kill(pid, signal.SIGINT)
    assert apart(os.getpid) == pid


def test_a_forked_process_has_its_own() -> None:
    apart(len, "abc")
    pid = os.fork()
    if not pid:
        os._exit(0 if apart(os.getppid) == os.getpid() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert apart(os.getppid) == os.getpid()


SCRIPT = """
import os, sys, time
from codectok.processes import apart
from tests.processes import functions
print(apart(os.getpid), flush=True)
{then}
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that ended and that nobody has waited for yet is no process that runs.
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("then", ["", "apart(functions.hold_the_interpreter, 60)", "apart(time.sleep, 60)"])
def test_nothing_outlives_the_caller(then: str) -> None:
    """Neither a script that ends (and has no guard of its main module), nor one that is killed in a call."""
    caller = subprocess.Popen([sys.executable, "-c", SCRIPT.format(then=then)], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    pid = int(caller.stdout.readline())
    if then:
        time.sleep(1.0)
        assert alive(pid)
        caller.kill()
    caller.wait(30)
    end = time.monotonic() + 5
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(pid)


def test_it_imports_no_more_than_the_function_needs() -> None:
    assert apart(functions.is_imported, "torch") is False

"""Ctrl-C and SIGTERM: in time, with the right status, in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codectok.stops import NOTHING, Stopped, holding

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def run_and_stop(body: str, *signals: int, wait: float = 0.0) -> tuple[int, str, float]:
    """Run code under ``handled``; signal it when it has printed a line. Its status, stderr, and seconds to its end."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    code = f"import time\nfrom codectok.stops import handled, holding, keeping\nwith handled(last=True):\n{lines}"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)  # for what comes after that line
    started = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(wait)
    error = process.communicate(timeout=60)[1]
    return process.returncode, error, time.monotonic() - started


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_status_and_what_is_kept(number: int, status: int) -> None:
    body = """
with keeping("all is lost"):
    with keeping(lambda: f"{1 + 1} of 9 are kept"):
        print("ready")
        time.sleep(30)
"""
    code, error, seconds = run_and_stop(body, number)
    assert (code, error) == (status, "stopped: 2 of 9 are kept\n")
    assert seconds < 10


def test_without_words_it_says_that_nothing_is_half_written() -> None:
    code, error, _ = run_and_stop("print('ready')\ntime.sleep(30)", signal.SIGTERM)
    assert (code, error) == (143, "stopped: nothing is half-written; the same command begins again\n")


def test_what_is_half_written_is_removed_on_the_way_out(tmp_path: Path) -> None:
    body = f"""
from codectok.files.atomic import atomic_path
with atomic_path({str(tmp_path / "file")!r}) as path:
    path.write_text("half")
    print("ready")
    time.sleep(30)
"""
    assert run_and_stop(body, signal.SIGINT)[0] == 130
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_a_signal_caused_is_a_stop() -> None:
    body = """
print("ready")
try:
    time.sleep(30)
except KeyboardInterrupt as error:
    raise ImportError("half imported") from error
"""
    code, error, _ = run_and_stop(body, signal.SIGINT)
    assert code == 130
    assert len(error.splitlines()) == 1


SWALLOWED = """
print("ready")
while True:
    try:
        time.sleep(30)
    except KeyboardInterrupt:
        pass
"""
NATIVE = """
import hashlib
with keeping("9 cells are kept"):
    print("ready")
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
"""
"""Minutes in which Python does not run, and so does not hear of signals."""
HOLDING = """
with holding():
    print("ready")
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("body", [SWALLOWED, NATIVE, HOLDING])
def test_a_stop_that_is_not_heard_ends_in_time(body: str) -> None:
    code, error, seconds = run_and_stop(body, signal.SIGTERM)
    assert code == 143
    assert len(error.splitlines()) == 1
    assert 5 < seconds < 10


@pytest.mark.parametrize("body", [SWALLOWED, NATIVE, HOLDING])
def test_a_second_signal_ends_at_once(body: str) -> None:
    code, error, seconds = run_and_stop(body, signal.SIGINT, signal.SIGINT, wait=0.2)
    assert code == 130
    assert error == f"stopped: {'9 cells are kept' if body is NATIVE else NOTHING}\n"
    assert seconds < 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_holding_lets_the_step_end(number: int) -> None:
    body = """
kept = []
with keeping(lambda: f"{len(kept)} steps are kept"):
    with holding() as asked:
        for step in range(1000):
            if step == 3:
                print("ready")
            time.sleep(0.05)
            kept.append(step)
            if asked():
                break
        assert len(kept) < 1000
"""
    code, error, _ = run_and_stop(body, number)
    assert code == 128 + number
    assert error.startswith("stopped: ")
    assert int(error.split()[1]) >= 3


def test_a_block_without_signals_ends_as_it_does() -> None:
    for body, status in (("print('ready')", 0), ("print('ready')\nraise SystemExit(2)", 2)):
        assert run_and_stop(body)[0] == status


def test_a_signal_after_the_end_changes_nothing() -> None:
    """Taking down an interpreter with torch in it takes a while."""
    body = """
class Slow:
    def __del__(self, sleep=time.sleep):
        print("ready")
        sleep(1)
time.slow = Slow()
raise SystemExit(0)
"""
    assert run_and_stop(body, signal.SIGTERM)[:2] == (0, "")


def test_outside_of_a_command_holding_puts_the_handlers_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with holding() as asked:
        assert not asked()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    with pytest.raises(Stopped) as caught:
        _hold_through(signal.SIGTERM)
    assert caught.value.number == signal.SIGTERM
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_command_within_a_program_puts_the_handlers_back() -> None:
    """Also where it leaves by its exit status: the program goes on, and hears its own signals."""
    code = """
import os, signal
from codectok.stops import Stopped, handled, holding
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
for status in (0, 2):
    try:
        with handled():
            raise SystemExit(status)
    except SystemExit:
        pass
assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
assert signal.set_wakeup_fd(-1) == -1
try:
    with holding() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
except Stopped:
    pass
with holding() as asked:
    assert not asked()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def _hold_through(number: int) -> None:
    with holding() as asked:
        os.kill(os.getpid(), number)
        while not asked():
            time.sleep(0.01)


def test_an_import_ends_first(tmp_path: Path) -> None:
    """A C++ module aborts when an exception passes through its start."""
    (tmp_path / "native.py").write_text(
        "import os, time\ntry:\n    print('ready')\n    time.sleep(2)\nexcept BaseException:\n    os.abort()\n"
    )
    body = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
with keeping("after the import"):
    import native
    time.sleep(30)
"""
    code, error, seconds = run_and_stop(body, signal.SIGTERM)
    assert (code, error) == (143, "stopped: after the import\n")
    assert 1 < seconds < 5
    assert run_and_stop(body, signal.SIGTERM, signal.SIGINT, wait=0.2)[2] < 1.5


def test_an_import_that_does_not_return_ends_in_time(tmp_path: Path) -> None:
    (tmp_path / "native.py").write_text("import time\nprint('ready')\ntime.sleep(60)\n")
    code, error, seconds = run_and_stop(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport native", signal.SIGTERM
    )
    assert (code, error) == (143, f"stopped: {NOTHING}\n")
    assert 2 < seconds < 10


@pytest.mark.parametrize("delay", [0.12, 0.3, 0.8])
def test_during_imports(delay: float) -> None:
    command = [sys.executable, "-m", "codectok", "info", "speech"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # Python's own start is over when it has handlers: its signals are no longer at their defaults.
    while (status := caught_signals(process.pid)) & 1 << signal.SIGTERM - 1 == 0:
        assert process.poll() is None, status
        time.sleep(0.005)
    time.sleep(delay)
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    error = process.communicate(timeout=60)[1]
    if process.returncode == 0:
        pytest.skip("it was faster")
    assert process.returncode == 143
    assert len(error.splitlines()) == 1
    assert time.monotonic() - started < 10


def caught_signals(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        pytest.skip("finds handlers in /proc")
    return next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt")), 0)

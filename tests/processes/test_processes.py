"""One way to run worker processes: ordered, bounded, and clear about what died."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from codectok.errors import FormatError
from codectok.processes import WAIT, Inline, Lost, Pool, StartError, WorkerDied, in_process, map_ahead, map_in_threads
from codectok.processes.work import Wait
from tests.processes import functions


def watched(count: int, taken: list[int]) -> Iterator[int]:
    for number in range(count):
        taken.append(number)
        yield number


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order(workers: int) -> None:
    assert list(map_ahead(functions.square, range(12), workers)) == [n * n for n in range(12)]
    assert list(map_ahead(functions.square, [], workers)) == []


@pytest.mark.parametrize(("workers", "ahead"), [(1, None), (2, 3), (2, None)])
def test_items_are_read_a_bounded_way_ahead(workers: int, ahead: int | None) -> None:
    taken: list[int] = []
    # One more than may be in work is held ready for the worker that becomes free.
    most = 1 if workers == 1 else (ahead or 4 * workers) + 1
    for number, _ in enumerate(map_ahead(functions.square, watched(40, taken), workers, ahead=ahead)):
        assert len(taken) <= number + 1 + most
    assert len(taken) == 40


def test_a_pool_of_one_is_this_process_and_leaves_its_threads_alone() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        [(threads, _, process, _)] = map_ahead(_inline, [0], 1)
        assert (threads, process) == (1, os.getpid())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def _inline(_: int) -> tuple[int, str, int, str]:
    return torch.get_num_threads(), "", os.getpid(), ""


def test_workers_have_one_thread_and_todays_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    for value in ("first", "second"):
        monkeypatch.setenv("CODECTOK_TEST", value)
        for threads, variable, process, seen in map_ahead(functions.threads_and_process, range(2), 2):
            assert (threads, variable, seen) == (1, "1", value)
            assert process != os.getpid()
    assert os.environ["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_are_raised_in_their_turn(workers: int) -> None:
    results = map_ahead(functions.refuse_three, range(9), workers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(FormatError, match="three is refused") as caught:
        next(results)
    if workers > 1:
        assert "refuse_three" in caught.value.__notes__[0]


def test_a_dead_worker_is_named_with_its_item() -> None:
    results = map_ahead(functions.die_at_three, range(9), 2, name=lambda number: f"item-{number}")
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(WorkerDied, match=r"item-3: .*killed by signal 9.*leave it out, or give fewer --workers"):
        next(results)


def test_one_call_in_a_process_of_its_own() -> None:
    assert in_process(functions.square, 5) == 25
    with pytest.raises(FormatError, match="three is refused"):
        in_process(functions.refuse_three, 3)
    with pytest.raises(WorkerDied, match="SIGKILL"):
        in_process(functions.die_at_three, 3)


def test_a_result_that_cannot_be_sent_is_an_error() -> None:
    with pytest.raises(Exception, match="pickle"):
        list(map_ahead(functions.not_picklable, range(2), 2))


def test_no_more_workers_are_started_than_there_are_items() -> None:
    with Pool([functions.Halves()] * 4) as pool:
        assert [found for _, found in pool.run([2])] == [1.0]
        assert len(pool._workers) == 1


@pytest.mark.parametrize("many", [False, True])
def test_beginnings_shares_and_waiting(many: bool) -> None:
    """The second half of the tasks depends on the results of the first."""
    told: list[tuple[int, float]] = []
    found: dict[int, Any] = {}

    def tasks() -> Iterator[int | Wait]:
        yield from range(6)
        while len(found) < 6:
            yield WAIT
        yield from range(6, 9)

    def heard(task: int, share: float) -> None:
        told.append((task, share))

    work = functions.Halves()
    with Pool([work] * 2, ahead=2, heard=heard) if many else Inline(work, heard) as pool:
        for task, result in pool.run(tasks()):
            found[task] = result
    assert found == {n: -1.0 if n % 2 else n / 2 for n in range(9)}
    assert sorted(told) == [(n, 0.5) for n in range(0, 9, 2)]


@pytest.mark.parametrize("many", [False, True])
def test_waiting_for_nothing_is_a_mistake(many: bool) -> None:
    work = functions.Halves()
    with (
        Pool([work] * 2) if many else Inline(work) as pool,
        pytest.raises(RuntimeError, match="nothing is being done"),
    ):
        list(pool.run([WAIT]))


def test_work_that_cannot_be_opened_or_dies() -> None:
    with Pool([functions.Halves(refuses=True)] * 2) as pool, pytest.raises(FormatError, match="nothing can be opened"):
        list(pool.run(range(4)))
    with Pool([functions.Stillborn()] * 2) as pool, pytest.raises(StartError, match=r"exit status 3.*__name__"):
        list(pool.run(range(4)))


def test_a_lost_task_may_be_given_again_and_the_worker_is_replaced() -> None:
    lost: list[int] = []

    def tasks() -> Iterator[int | Wait]:
        yield from range(6)
        while not lost:
            yield WAIT
        yield 7

    from codectok.processes import Call

    done = []
    with Pool([Call(functions.die_at_three)]) as pool:
        for task, found in pool.run(tasks()):
            (lost if isinstance(found, Lost) else done).append(task)
        assert len(pool) == 1
    assert lost == [3]
    assert sorted(done) == [0, 1, 2, 4, 5, 7]


def test_leaving_early_ends_the_workers_at_once() -> None:
    started = time.monotonic()
    with Pool([functions.Halves()] * 2) as pool:
        pool.start(2)
        processes = [w.process for w in pool._workers]
    assert len(processes) == 2
    assert not any(p.is_alive() for p in processes)
    assert time.monotonic() - started < 60


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_what_workers_are_forked_from_has_one_thread() -> None:
    """Forking a process copies the locks that its threads hold."""
    from multiprocessing import forkserver

    list(map_ahead(functions.square, range(2), 2, preload=("codectok.corpus.worker",)))
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    assert len(os.listdir(f"/proc/{server}/task")) == 1


def test_threads_keep_order_are_bounded_and_raise_in_turn() -> None:
    taken: list[int] = []
    for number, found in enumerate(map_in_threads(functions.square, watched(20, taken), 3, ahead=5)):
        assert found == number**2
        assert len(taken) <= number + 1 + 5
    results = map_in_threads(functions.refuse_three, range(9), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(FormatError):
        next(results)

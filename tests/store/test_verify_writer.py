"""What the writer promises: killed anywhere it goes on, two runs never mix, a full disk is one line."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import codectok.files.atomic
import codectok.store.finish
from codectok.errors import CodectokError, FormatError
from codectok.store import StoreInfo, open_store
from codectok.store.info import shard_path
from codectok.store.verify import verify_store
from codectok.store.writer import StoreWriter
from tests.store.making import make_info, make_store
from tests.store.test_merge import content, shards_of


class Killed(BaseException):
    """As by kill -9: nothing after it runs, nothing is cleaned up."""


def run(out: Path, info: StoreInfo, part: tuple[int, int] | None = None) -> int:
    """A whole run; the number of shards that it made."""
    shards = shards_of(info, [[3, 1], [2], [], [4, 4, 1]])
    made = 0
    with StoreWriter(out, info, len(shards), part=part) as writer:
        if writer.complete:
            return 0
        for number in writer.numbers:
            if not writer.has_shard(number, f"items {number}"):
                writer.write_shard(number, *shards[number], f"items {number}")
                made += 1
        writer.close({})
    return made


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts every rename, deletion and sync; kills at the one whose number is put in place of -1."""
    state = [0, -1]

    def counted(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            state[0] += 1
            if state[0] > state[1] >= 0:  # from then on nothing happens at all: a dead process cleans up nothing
                raise Killed
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "rmdir"), (os, "unlink")):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        patch.setattr(os, "fsync", counted(lambda _: None))  # the disk's time is no part of it
        yield state


@pytest.mark.parametrize(("format", "stride"), [("parquet", 2), ("fairseq", 7)])
def test_killed_at_any_step_it_ends_with_the_same_bytes(
    tmp_path: Path, steps: list[int], format: str, stride: int
) -> None:
    info = make_info(format, (6,), dedup=True)
    run(tmp_path / "whole", info)
    total, whole = steps[0], content(tmp_path / "whole")
    assert total > 20
    for kill in range(0, total, stride):
        out = tmp_path / str(kill)
        steps[:] = [0, kill]
        with pytest.raises(Killed):
            run(out, info)
        steps[:] = [0, -1]
        run(out, info)
        assert content(out) == whole, kill


def test_killed_while_it_overwrites(tmp_path: Path, steps: list[int]) -> None:
    old, new = make_info("fairseq", (6,)), make_info("jsonl", (5,))
    run(tmp_path / "whole", new)
    whole = content(tmp_path / "whole")

    def overwrite(out: Path) -> None:
        StoreWriter(out, new, 4, overwrite=True).release()

    run(tmp_path / "x", old)
    before = content(tmp_path / "x")
    steps[:] = [0, -1]
    overwrite(tmp_path / "x")
    total = steps[0]
    for kill in range(0, total, 2):
        out = tmp_path / str(kill)
        steps[:] = [0, -1]
        run(out, old)
        steps[:] = [0, kill]
        with pytest.raises(Killed):
            overwrite(out)
        steps[:] = [0, -1]
        if (out / "store.json").exists():
            assert list(verify_store(open_store(out))) == []
            assert {k: v for k, v in content(out).items() if ".work" not in k} == before
            overwrite(out)
        run(out, new)
        assert content(out) == whole, kill


def test_only_missing_or_changed_shards_are_made_again(tmp_path: Path) -> None:
    info = make_info("jsonl", (6,))
    shards = shards_of(info, [[3, 1], [2], [1], [4]])
    with StoreWriter(tmp_path / "s", info, 4) as writer:
        for number in (0, 1, 3):
            writer.write_shard(number, *shards[number], f"items {number}")
        assert writer.has_shard(0, "items 0")
        assert not writer.has_shard(0, "other items")
        assert not writer.has_shard(2, "items 2")
        path = shard_path(tmp_path / "s", 1, ".jsonl")
        path.write_text(path.read_text().replace("1", "2", 1))
        assert not writer.has_shard(1, "items 1")
        shard_path(tmp_path / "s", 3, ".jsonl").unlink()
        assert not writer.has_shard(3, "items 3")
        with pytest.raises(FormatError, match="no record of shard 2"):
            writer.close({})
    assert not (tmp_path / "s/store.json").exists()


def _hold(out: str, begun: Any, end: Any) -> None:
    with StoreWriter(Path(out), make_info("jsonl", (6,)), 4):
        begun.set()
        end.wait(60)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    info = make_info("jsonl", (6,))
    spawn = multiprocessing.get_context("spawn")
    begun, end = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(str(tmp_path / "s"), begun, end))
    other.start()
    assert begun.wait(60)
    for overwrite in (False, True):
        with pytest.raises(CodectokError, match=r"another run is writing .*/s: wait"):
            StoreWriter(tmp_path / "s", info, 4, overwrite=overwrite)
    other.kill()  # a lock never outlives the run that held it
    other.join()
    run(tmp_path / "s", info)
    assert run(tmp_path / "s", info) == 0


def test_a_second_run_in_another_thread_is_refused_and_one_left_behind_is_not(tmp_path: Path) -> None:
    info = make_info("jsonl", (6,))
    first = StoreWriter(tmp_path / "s", info, 4)
    said: list[Exception] = []

    def second() -> None:
        try:
            StoreWriter(tmp_path / "s", info, 4)
        except CodectokError as e:
            said.append(e)

    thread = threading.Thread(target=second)
    thread.start()
    thread.join()
    assert len(said) == 1
    run(tmp_path / "s", info)
    assert not first.complete


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "no space left.*free some space"), (errno.EROFS, "read-only.*another folder")],
)
@pytest.mark.parametrize("where", ["shard", "close"])
def test_a_disk_that_takes_no_more_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, number: int, message: str
) -> None:
    info = make_info("parquet", (6,))
    run(tmp_path / "whole", info)

    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        if where == "shard":
            patch.setattr(codectok.files.atomic.os, "fsync", full)
        else:
            patch.setattr(codectok.store.finish, "write_page", full)
        with pytest.raises(CodectokError, match=rf"cannot write to .*/s \(.*(?i:{message}).* run the same command"):
            run(tmp_path / "s", info)
    assert [p for p in tmp_path.rglob("*") if ".tmp" in p.name] == []
    run(tmp_path / "s", info)
    assert content(tmp_path / "s") == content(tmp_path / "whole")


def test_another_part_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    info = make_info("jsonl", (6,))
    run(tmp_path / "s", info, (1, 2))
    with pytest.raises(FormatError, match=r"holds part 1/2, not part 2/2: give each part a folder of its own"):
        run(tmp_path / "s", info, (2, 2))
    with pytest.raises(FormatError, match=r"holds part 1/2, not the whole corpus"):
        run(tmp_path / "s", info)
    for part in ((0, 2), (3, 2)):
        with pytest.raises(CodectokError, match="give I/N with I from 1 to N"):
            run(tmp_path / "x", info, part)


def test_verify_goes_on_after_a_shard_that_cannot_be_read(tmp_path: Path) -> None:
    info = make_info("jsonl", (6,))
    shards = [rows for rows, _ in shards_of(info, [[3, 1], [2], [1, 2], [4]])]
    store = make_store(tmp_path / "s", info, shards)
    shard_path(store.folder, 1, ".jsonl").write_text("{")
    path = shard_path(store.folder, 2, ".jsonl")
    path.write_text(path.read_text().replace("u2/1", "u0/0"))
    problems = list(verify_store(store))
    assert any("shards/00001.jsonl is not the file" in p for p in problems)
    assert any("shard 2 row 1: the id 'u0/0' comes twice" in p for p in problems)
    assert any("counts were not compared" in p for p in problems)
    assert not any("shard 3" in p for p in problems)


def test_verify_compares_failures_and_sizes(tmp_path: Path) -> None:
    info = make_info("jsonl", (6,))
    run(tmp_path / "s", info)
    path = tmp_path / "s/stats.json"
    stats = json.loads(path.read_text())
    assert stats["failures"] == {"A": 1, "B": 1}
    path.write_text(json.dumps(stats | {"failures": {"A": 2}, "bytes": 7}))
    said = "\n".join(verify_store(open_store(tmp_path / "s")))
    assert "stats.json has failures {'A': 2}, the shards give {'A': 1, 'B': 1}" in said
    assert "stats.json has bytes 7" in said

"""One run at a time in a folder."""

from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from codectok.errors import CodectokError
from codectok.files.atomic import atomic_path, sweep
from codectok.files.folder_lock import FolderLock, is_vacant


def _hold(folder: str, begun: Any, end: Any) -> None:
    with FolderLock(folder):
        begun.set()
        end.wait(60)


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    begun, end = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(str(tmp_path / "s"), begun, end))
    other.start()
    assert begun.wait(60)
    with pytest.raises(CodectokError, match=r"^another run is writing .*/s: wait until it ends, or choose another"):
        FolderLock(tmp_path / "s")
    assert (tmp_path / "s/.lock").read_bytes() == b""
    other.kill()
    other.join()
    with FolderLock(tmp_path / "s"):
        assert is_vacant(tmp_path / "s")
    assert list((tmp_path / "s").iterdir()) == []


def test_another_thread_is_refused_and_the_same_may_take_it_again(tmp_path: Path) -> None:
    said: list[str] = []

    def second() -> None:
        try:
            FolderLock(tmp_path)
        except CodectokError as error:
            said.append(str(error))

    with FolderLock(tmp_path), FolderLock(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(said) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_nothing_came_into_goes_with_its_lock(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "a/b"):
        assert (tmp_path / "a/b/.lock").exists()
    assert not (tmp_path / "a/b").exists()
    with FolderLock(tmp_path / "a/b"):
        (tmp_path / "a/b/result").touch()
    assert [p.name for p in (tmp_path / "a/b").iterdir()] == ["result"]
    with pytest.raises(CodectokError, match="is a file: give a folder"):
        FolderLock(tmp_path / "a/b/result")


def test_the_lock_of_a_folder_put_in_its_place_is_left_alone(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "s")
    (tmp_path / "s").rename(tmp_path / "old")
    (tmp_path / "s").mkdir()
    (tmp_path / "s/.lock").touch()
    lock.release()
    assert (tmp_path / "s/.lock").exists()


def test_only_what_atomic_writing_left_is_swept(tmp_path: Path) -> None:
    left = []
    for name in ("index.parquet", "errors", "a.b.json"):
        with atomic_path(tmp_path / name) as temporary:
            temporary.touch()
            left.append(temporary.name)
    for name in (*left, ".notes.tmp", ".mine.tmp.txt", ".x.0123456789ab.tmp2", "kept.0123456789ab.tmp"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert not set(left) & set(os.listdir(tmp_path))
    assert len(os.listdir(tmp_path)) == 3 + 4
